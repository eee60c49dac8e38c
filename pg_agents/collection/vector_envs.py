"""Single environments as vector environments, and the names of environments."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv


def as_vector_env(env: gym.Env | VectorEnv) -> VectorEnv:
    """Return `env`, or a vector environment of one row around a single environment.

    The wrapper resets in the step after an episode's end: an environment that reuses one observation array would
    overwrite its last observation if it were reset in the same step.
    """
    if isinstance(env, VectorEnv):
        return env
    if not isinstance(env, gym.Env):
        raise TypeError(f"env must be a gymnasium.Env or a gymnasium.vector.VectorEnv, got {type(env).__name__}")
    return SyncVectorEnv([lambda: env], autoreset_mode=AutoresetMode.NEXT_STEP)


def name_of(env: gym.Env | VectorEnv) -> str:
    """Return the environment's id, or the class name of the unwrapped environment if it has no id."""
    if env.spec is not None:
        return env.spec.id
    core: Any = env.unwrapped
    return name_of(core.envs[0]) if isinstance(core, SyncVectorEnv) else type(core).__name__
