"""A run of Stable-Baselines3, in the peers' own Python: settings as JSON in, one line of JSON out."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import stable_baselines3  # type: ignore[import-not-found]
import torch
from stable_baselines3.common.callbacks import BaseCallback  # type: ignore[import-not-found]
from stable_baselines3.common.env_util import make_vec_env  # type: ignore[import-not-found]
from stable_baselines3.common.vec_env import VecNormalize  # type: ignore[import-not-found]

POINTS = 200  # of a learning curve


class Curve(BaseCallback):
    """Keeps the mean return of the last 100 episodes, by steps."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every, self.due, self.curve = every, 0, list[list[float]]()

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        returns = [float(info["r"]) for info in self.model.ep_info_buffer or ()]
        if returns and self.num_timesteps >= self.due:
            self.due = self.num_timesteps + self.every
            self.curve.append([self.num_timesteps, sum(returns) / len(returns)])


def value_of(argument: Any) -> Any:  # noqa: ANN401
    """Return a number as it is, and "lin_3e-4" as the schedule that falls to 0 over the run."""
    if not (isinstance(argument, str) and argument.startswith("lin_")):
        return argument
    start = float(argument.removeprefix("lin_"))
    schedule: Callable[[float], float] = lambda remaining: start * remaining  # noqa: E731
    return schedule


def arguments_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of the algorithm, with objects for the names that JSON has."""
    given = {name: value_of(value) for name, value in settings.items() if name not in ("policy", "normalize")}
    networks = given.get("policy_kwargs", {})
    if "activation_fn" in networks:
        given["policy_kwargs"] = networks | {"activation_fn": getattr(torch.nn, networks["activation_fn"])}
    return given


def returns_of(model: Any, env: Any, settings: dict[str, Any], *, greedy: bool) -> list[float]:  # noqa: ANN401
    """Return the return of an episode with each seed of the evaluation, in fresh environments."""
    arguments = settings["env_args"] | settings["eval_args"]
    envs = [gymnasium.make(settings["env"], **arguments) for _ in settings["eval_seeds"]]
    seen = [env.reset(seed=seed)[0] for env, seed in zip(envs, settings["eval_seeds"], strict=True)]
    returns, going = [0.0] * len(envs), list(range(len(envs)))
    while going:
        observations = np.stack([seen[i] for i in going])
        if isinstance(env, VecNormalize):
            observations = env.normalize_obs(observations)
        actions = model.predict(observations, deterministic=greedy)[0]
        over = []
        for i, action in zip(going, actions, strict=True):
            seen[i], reward, terminated, truncated, _ = envs[i].step(action)
            returns[i] += float(reward)
            over += [i] if terminated or truncated else []
        going = [i for i in going if i not in over]
    for one in envs:
        one.close()
    return returns


def main(settings: dict[str, Any]) -> dict[str, Any]:
    """Learn and evaluate as `settings` say."""
    torch.set_num_threads(1)
    given = settings["arguments"]
    assert not set(settings["eval_seeds"]) & set(range(settings["seed"], settings["seed"] + settings["num_envs"]))
    make = partial(make_vec_env, n_envs=settings["num_envs"], seed=settings["seed"], env_kwargs=settings["env_args"])
    env = make(settings["env"])
    if given.get("normalize"):
        env = VecNormalize(env, gamma=given.get("gamma", 0.99))
    algorithm = getattr(stable_baselines3, settings["agent"])
    policy = given.get("policy", "MlpPolicy")
    model = algorithm(policy, env, seed=settings["seed"], device="cpu", **arguments_of(given))
    untrained = returns_of(model, env, settings, greedy=False)
    curve = Curve(settings["total_steps"] // POINTS)
    started, cpu = time.perf_counter(), time.process_time()
    model.learn(settings["total_steps"], callback=curve)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    score = returns_of(model, env, settings, greedy=True)
    simulators = [sys.modules[name] for name in ("mujoco", "Box2D") if name in sys.modules]
    modules = (stable_baselines3, torch, gymnasium, np, *simulators)
    return {
        "score": float(np.mean(score)),
        "untrained": float(np.mean(untrained)),
        "known": {"random": None, "optimal": None, "memoryless": None},
        "steps": model.num_timesteps,
        "training_episodes": None,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "learners": 1,
        "curve": curve.curve,
        "peer_versions": {module.__name__: module.__version__ for module in modules},
    }


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
