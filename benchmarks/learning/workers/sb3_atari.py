"""A long run of Stable-Baselines3 on a game of Atari, in the peers' own Python: settings as JSON in, a curve out.

Each row is appended to the file as it comes, and the model is saved every few minutes, so that a run that is cut off
leaves both. The clock runs from the first reset.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ale_py  # type: ignore[import-not-found]
import gymnasium
import numpy as np
import stable_baselines3  # type: ignore[import-not-found]
import torch
from stable_baselines3.common.callbacks import BaseCallback  # type: ignore[import-not-found]
from stable_baselines3.common.env_util import make_atari_env  # type: ignore[import-not-found]
from stable_baselines3.common.vec_env import VecFrameStack  # type: ignore[import-not-found]

gymnasium.register_envs(ale_py)


class Curve(BaseCallback):
    """Writes rows and models, and ends learning at a number of seconds or steps, or at a mean return."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__()
        self.settings, self.file = settings, Path(settings["file"])
        self.over, self.due, self.saved = False, 0, 0.0

    def _on_training_start(self) -> None:
        self.started, self.cpu = time.perf_counter(), time.process_time()

    def _on_step(self) -> bool:
        return not self.over

    def _on_rollout_end(self) -> None:
        limits, seconds = self.settings["until"], time.perf_counter() - self.started
        returns = [float(info["r"]) for info in self.model.ep_info_buffer or ()]
        mean = sum(returns) / len(returns) if returns else None
        reached = len(returns) == 100 and mean is not None and mean >= limits["mean_return"]
        self.over = reached or seconds >= limits["seconds"] or self.num_timesteps >= limits["steps"]
        if self.num_timesteps >= self.due or self.over:
            self.due = self.num_timesteps + self.settings["every"]
            row = {"steps": self.num_timesteps, "mean_return": mean, "seconds": seconds}
            with self.file.open("a") as file:
                file.write(json.dumps(row | {"cpu_seconds": time.process_time() - self.cpu}) + "\n")
        if seconds >= self.saved + self.settings["save_seconds"] or self.over:
            self.saved = seconds
            self.model.save(self.settings["agent"])


def linear(start: float) -> Callable[[float], float]:
    """Return the schedule that falls from `start` to 0 over the run."""
    return lambda remaining: start * remaining


def main(settings: dict[str, Any]) -> None:
    """Make the run that `settings` describe; its first row holds the versions."""
    torch.set_num_threads(settings["threads"])
    versions = {module.__name__: module.__version__ for module in (stable_baselines3, torch, gymnasium, ale_py, np)}
    with Path(settings["file"]).open("a") as file:
        file.write(json.dumps(settings["head"] | {"versions": versions}) + "\n")
    env = VecFrameStack(
        make_atari_env(settings["env"], settings["num_envs"], settings["seed"], env_kwargs=settings["env_args"]), 4
    )
    falling = {name: linear(start) for name, start in settings["falling"].items()}
    model = stable_baselines3.PPO(
        "CnnPolicy", env, seed=settings["seed"], device="cpu", **settings["arguments"], **falling
    )
    model.learn(settings["total_steps"], callback=Curve(settings))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
