"""What our sides are made of: environments, and a clock."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv


class Clock:
    """Wall and processor time from where it is made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        """Return the seconds since then."""
        return {"seconds": time.perf_counter() - self.wall, "cpu_seconds": time.process_time() - self.cpu}


def make_env(settings: dict[str, Any]) -> gym.Env | VectorEnv:
    """Return the environment of `settings`: single, the vector form that Gymnasium prefers, or synchronous.

    Synchronous ones have Gymnasium's `wrappers` around each, by name and arguments, innermost first. They reset in the
    step in which an episode ends, as those of the peers do: all rows are transitions.
    """
    kind, count, arguments = settings["kind"], settings["num_envs"], settings.get("env_args", {})
    if kind == "single":
        return gym.make(settings["env"], **arguments)
    if kind == "native":
        return gym.make_vec(settings["env"], count, **arguments)
    how = {"autoreset_mode": AutoresetMode.SAME_STEP}
    around = [partial(getattr(gym.wrappers, name), **given) for name, given in settings.get("wrappers", [])]
    return gym.make_vec(
        settings["env"], count, vectorization_mode="sync", vector_kwargs=how, wrappers=around, **arguments
    )
