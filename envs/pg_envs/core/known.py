"""Known expected returns of an environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
from gymnasium.vector import SyncVectorEnv, VectorEnv


@dataclass(frozen=True)
class KnownReturns:
    """The expected undiscounted returns of the uniformly random policy and of the best policy; None: unknown.

    `per` is "episode" (expected return of one episode, under the environment's own time limit) or, for continuing
    tasks without one, "step" (the gain). `memoryless` is the return of the best policy that uses only the current
    observation, in partially observed tasks.
    """

    random: float | None = None
    optimal: float | None = None
    per: Literal["episode", "step"] = "episode"
    memoryless: float | None = None


def known_returns(env: gym.Env | VectorEnv) -> KnownReturns:
    """Return the known returns of a pg/… environment, single or vector, under its own time limit.

    They are all None for other environments, and if a wrapper changes rewards.
    """
    core: Any = env.unwrapped
    layer: Any = env
    while layer is not core:
        if isinstance(layer, gym.RewardWrapper | gym.vector.VectorRewardWrapper):
            return KnownReturns()
        layer = layer.env
    if isinstance(core, SyncVectorEnv):
        return known_returns(core.envs[0])
    if not hasattr(core, "known_returns"):
        return KnownReturns()
    if isinstance(env, VectorEnv):
        return core.known_returns(core.max_episode_steps)
    return core.known_returns(None if env.spec is None else env.spec.max_episode_steps)
