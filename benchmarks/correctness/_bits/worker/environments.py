"""Environments of every kind of space, so small that a network sees all of one in a moment; plain Gymnasium."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

Env = gym.Env | VectorEnv
Make = Callable[[int], Env]


class Dice(gym.Env):
    """Each step shows a random observation and pays for the action; an episode ends with probability `ends`.

    Args:
        observations: the space that is drawn from; its numbers decide what an action is worth.
        actions: Discrete, MultiDiscrete, MultiBinary or Box.
        ends: probability.
        masked: where a mask of the actions is: "info", "observation" (the space is then wrapped in a Dict), or nowhere.
    """

    def __init__(self, observations: spaces.Space, actions: spaces.Space, ends: float = 0.2, masked: str = "") -> None:
        self.shown, self.action_space, self.ends, self.masked = observations, actions, ends, masked
        self.counts = np.atleast_1d(getattr(actions, "nvec", getattr(actions, "n", 0)))  # options of each choice
        inside = masked == "observation"
        size = int(self.counts.sum())
        self.observation_space = (
            spaces.Dict(observation=observations, action_mask=spaces.MultiBinary(size)) if inside else observations
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        super().reset(seed=seed)
        if seed is not None:
            self.shown.seed(seed)
        return self._observe()

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Pay for `action`, which is right where it is near to what was drawn for it."""
        numbers = np.asarray(action, np.float64).ravel()
        wanted = self.np_random.uniform(-1, 2, numbers.shape)
        reward = float(np.exp(-np.square(numbers - wanted)).sum())
        terminated = bool(self.np_random.random() < self.ends)
        observation, info = self._observe()
        return observation, reward, terminated, False, info

    def _observe(self) -> tuple[Any, dict[str, Any]]:
        observation = self.shown.sample()
        if not self.masked:
            return observation, {}
        mask = np.concatenate([self._allowed(count) for count in self.counts])
        if self.masked == "observation":
            return {"observation": observation, "action_mask": mask}, {}
        return observation, {"action_mask": mask}

    def _allowed(self, count: int) -> np.ndarray:
        mask = (self.np_random.random(count) < 0.5).astype(np.int8)
        mask[self.np_random.integers(count)] = 1
        return mask


def dice(
    observations: Callable[[], spaces.Space],
    actions: Callable[[], spaces.Space],
    mode: str = "NEXT_STEP",
    **options: float | str | tuple[float, ...],
) -> Make:
    """Return how to make several `Dice`, each with spaces of its own."""
    return lambda count: SyncVectorEnv(
        [lambda: Dice(observations(), actions(), **options)] * count, autoreset_mode=AutoresetMode[mode]
    )


def copies(name: str, mode: str = "NEXT_STEP", **options: float | str | tuple[float, ...]) -> Make:
    """Return how to make single environments called `name` side by side."""
    return lambda count: SyncVectorEnv([lambda: gym.make(name, **options)] * count, autoreset_mode=AutoresetMode[mode])


def native(name: str, **options: float | str | tuple[float, ...]) -> Make:
    """Return how to make the vector environment called `name`, in the form that its author gave it."""
    return lambda count: gym.make_vec(name, count, **options)


def texts(group_size: int = 1) -> Make:
    """Return how to make prompts of a few tokens whose completions are scored by their first two."""
    from pg_envs import TokenVectorEnv

    def score(prompt: list[int], text: list[int]) -> float:
        return float(text[0] % 2) + 0.25 * float(text[-1] % 3 == 0)

    prompts = [[5, 6], [5, 6, 7, 8], [9], [5, 6, 7, 0]]
    task: dict[str, Any] = {"prompts": prompts, "score": score, "vocabulary": 24, "pad": 0, "max_new_tokens": 4}
    return lambda count: TokenVectorEnv(count, eos=[2, 3, 4], group_size=group_size, **task)
