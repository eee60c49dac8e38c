"""A run of Stable-Baselines3, in the peers' own Python: settings as JSON in, one line of JSON out.

The clock runs from the first reset to the end of learning, or to the rollout after which the mean return of the last
100 training episodes reaches `stop_return`. Imports, environments and networks are made before it.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3  # type: ignore[import-not-found]
import torch
from stable_baselines3.common.callbacks import BaseCallback  # type: ignore[import-not-found]
from stable_baselines3.common.env_util import make_vec_env  # type: ignore[import-not-found]
from stable_baselines3.common.vec_env import SubprocVecEnv  # type: ignore[import-not-found]


class Threshold(BaseCallback):
    """Ends learning once the mean return of 100 episodes is reached; says when that was."""

    def __init__(self, stop_return: float | None) -> None:
        super().__init__()
        self.stop_return = stop_return
        self.reached: tuple[int, float] | None = None

    def returns(self) -> list[float]:
        """Return those of the last episodes, 100 at most."""
        return [float(info["r"]) for info in self.model.ep_info_buffer or ()]

    def _on_step(self) -> bool:
        return self.reached is None

    def _on_rollout_end(self) -> None:
        if self.stop_return is None or self.reached is not None:
            return
        returns = self.returns()
        if len(returns) == 100 and sum(returns) / 100 >= self.stop_return:
            self.reached = self.num_timesteps, time.perf_counter()


def value_of(argument: Any) -> Any:  # noqa: ANN401
    """Return a number as it is, and ["linear", start, end] as the schedule that falls (or rises) over the run."""
    if not isinstance(argument, list):
        return argument
    _, start, end = argument
    schedule: Callable[[float], float] = lambda remaining: end + (start - end) * remaining  # noqa: E731
    return schedule


def wrapped(wrappers: list[tuple[str, dict[str, Any]]], env: gymnasium.Env) -> gymnasium.Env:
    """Return the environment in wrappers of Gymnasium, by name and arguments, innermost first."""
    for name, arguments in wrappers:
        env = getattr(gymnasium.wrappers, name)(env, **arguments)
    return env


def peak_megabytes() -> float:
    """Return the most memory that this process has held, in MB; see `machine.peak_megabytes`."""
    status = Path("/proc/self/status")
    if status.exists():
        return float(status.read_text().split("VmHWM:")[1].split()[0]) * 1.024e-3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def main(settings: dict[str, Any]) -> dict[str, Any]:
    """Make the run that `settings` describe and return its results."""
    torch.set_num_threads(settings["threads"])
    algorithm = getattr(stable_baselines3, settings["algorithm"])
    arguments = {name: value_of(value) for name, value in settings["arguments"].items()}
    env = make_vec_env(
        settings["env"],
        n_envs=settings["num_envs"],
        seed=settings["seed"],
        env_kwargs=settings.get("env_args"),
        wrapper_class=partial(wrapped, settings.get("wrappers", [])),
        vec_env_cls=SubprocVecEnv if settings.get("subprocesses") else None,
    )
    model = algorithm(settings.get("policy", "MlpPolicy"), env, seed=settings["seed"], device="cpu", **arguments)
    threshold = Threshold(settings.get("stop_return"))
    started, cpu = time.perf_counter(), time.process_time()
    model.learn(settings["total_steps"], callback=threshold)
    steps, ended = threshold.reached or (model.num_timesteps, time.perf_counter())
    cpu = time.process_time() - cpu
    env.close()  # ends workers, which this process would wait for
    returns = threshold.returns()
    return {
        "steps": steps,
        "seconds": ended - started,
        "cpu_seconds": cpu,
        "reached": threshold.reached is not None,
        "mean_return": sum(returns) / len(returns) if returns else None,
        "peak_megabytes": peak_megabytes(),
        "versions": {module.__name__: module.__version__ for module in (stable_baselines3, torch, gymnasium, np)},
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
