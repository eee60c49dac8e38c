"""A run of a script of CleanRL's package, as it is installed, in the peers' own Python: JSON settings in, JSON out.

The scripts are of 2023: ppo.py steps environments as the package `gym` did, ppo_continuous_action.py as Gymnasium 0.28
did. A thin layer over today's Gymnasium gives them what they expect, so that the scripts themselves run unchanged; per
step it adds a dozen Python operations. What a script writes to TensorBoard goes nowhere, and it prints to nothing: both
would slow it down. The clock runs from the script's `envs.reset` to its `envs.close`: imports, environments and
networks are made before it.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import io
import json
import runpy
import sys
import time
import types
from typing import Any

import gymnasium
import numpy as np
import torch
import torch.utils.tensorboard

CLOCK: dict[str, float] = {}
RETURNS: list[float] = []


class Silent:
    """A TensorBoard writer that writes nothing."""

    def __init__(self, *_: object, **__: object) -> None: ...

    def add_text(self, *_: object) -> None:
        """Do nothing."""

    def add_scalar(self, name: str, value: Any, *_: object) -> None:  # noqa: ANN401
        """Keep the returns of episodes, forget the rest."""
        if name == "charts/episodic_return":
            RETURNS.append(float(np.asarray(value).item()))

    def close(self) -> None:
        """Do nothing."""


class TimedEnv(gymnasium.vector.SyncVectorEnv):
    """Starts the clock when it is reset and stops it when it is closed."""

    def __init__(self, thunks: Any) -> None:  # noqa: ANN401
        super().__init__(thunks, autoreset_mode=gymnasium.vector.AutoresetMode.SAME_STEP)

    def reset(self, **arguments: Any) -> Any:  # noqa: ANN401
        """Start the clock and reset."""
        CLOCK["started"], CLOCK["cpu"] = time.perf_counter(), time.process_time()
        return super().reset(**arguments)

    def close(self, **arguments: Any) -> None:  # noqa: ANN401
        """Stop the clock; the script closes its environments once, at its end."""
        if "ended" not in CLOCK:
            CLOCK["ended"], CLOCK["cpu"] = time.perf_counter(), time.process_time() - CLOCK["cpu"]
        super().close(**arguments)

    def ended(self, infos: dict[str, Any]) -> list[dict[str, Any] | None]:
        """Return the statistics of the episodes that ended, by environment."""
        if "final_info" not in infos:
            return [None] * self.num_envs
        episode, ended = infos["final_info"]["episode"], infos["final_info"]["_episode"]
        return [
            {"episode": {name: episode[name][i] for name in "rl"}} if ended[i] else None for i in range(self.num_envs)
        ]


class GymVectorEnv(TimedEnv):
    """With the results that `gym` gave: observations alone, one flag for both ends, an info for each environment."""

    def reset(self, **_: Any) -> Any:  # noqa: ANN401
        """Return the first observations; each environment is seeded with what its `seed` was told."""
        return super().reset(seed=[env.told for env in self.envs])[0]  # type: ignore[attr-defined]

    def step(self, actions: Any) -> Any:  # noqa: ANN401
        """Return observations, rewards, ends and infos."""
        observations, rewards, terminated, truncated, infos = super().step(actions)
        return observations, rewards, terminated | truncated, [info or {} for info in self.ended(infos)]


class EarlyVectorEnv(TimedEnv):
    """With the infos that Gymnasium 0.28 gave: a list of those with which episodes ended."""

    def step(self, actions: Any) -> Any:  # noqa: ANN401
        """Return observations, rewards, both ends and infos."""
        *results, infos = super().step(actions)
        return *results, {"final_info": self.ended(infos)} if "final_info" in infos else infos


class Statistics(gymnasium.wrappers.RecordEpisodeStatistics):
    """With the `seed` that environments of `gym` had."""

    def seed(self, seed: int) -> None:
        """Keep the seed for the reset."""
        self.told = seed


class TransformObservation(gymnasium.wrappers.TransformObservation):
    """Without an argument that it takes since Gymnasium 1.0."""

    def __init__(self, env: Any, function: Any) -> None:  # noqa: ANN401
        super().__init__(env, function, env.observation_space)


def prepare(continuous: bool) -> None:
    """Add and replace the modules and classes that the script expects."""
    torch.utils.tensorboard.SummaryWriter = Silent  # type: ignore[misc, assignment]
    if importlib.util.find_spec("distutils") is None:  # gone since Python 3.12
        util: Any = types.ModuleType("distutils.util")
        util.strtobool = lambda text: text.lower() in ("y", "yes", "t", "true", "on", "1")
        sys.modules |= {"distutils": types.ModuleType("distutils"), "distutils.util": util}
    if continuous:
        gymnasium.vector.SyncVectorEnv = EarlyVectorEnv  # type: ignore[misc, assignment]
        gymnasium.wrappers.TransformObservation = TransformObservation  # type: ignore[misc, assignment]
    else:
        gym: Any = types.ModuleType("gym")
        gym.make, gym.spaces = gymnasium.make, gymnasium.spaces
        gym.wrappers = types.SimpleNamespace(RecordEpisodeStatistics=Statistics)
        gym.vector = types.SimpleNamespace(SyncVectorEnv=GymVectorEnv)
        sys.modules["gym"] = gym


def main(settings: dict[str, Any]) -> dict[str, Any]:
    """Make the run that `settings` describe and return its results."""
    torch.set_num_threads(settings["threads"])
    script = settings["script"]
    prepare(continuous="continuous" in script)
    flags = {"env-id": settings["env"], "num-envs": settings["num_envs"], "seed": settings["seed"], "cuda": False}
    flags |= {"total-timesteps": settings["total_steps"]} | settings["arguments"]
    sys.argv = [script, *(text for name, value in flags.items() for text in (f"--{name}", str(value)))]
    with contextlib.redirect_stdout(io.StringIO()):
        runpy.run_module(f"cleanrl.{script}", run_name="__main__")
    last = RETURNS[-100:]
    batch = settings["num_envs"] * settings["arguments"]["num-steps"]
    return {
        "steps": settings["total_steps"] // batch * batch,
        "seconds": CLOCK["ended"] - CLOCK["started"],
        "cpu_seconds": CLOCK["cpu"],
        "mean_return": sum(last) / len(last) if last else None,
        "versions": {name: importlib.metadata.version(name) for name in ("cleanrl", "torch", "gymnasium", "numpy")},
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
