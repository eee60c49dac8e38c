"""Environments and a policy, each with a mistake that users make, beside the right form."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pg_envs
import torch
from gymnasium.vector import VectorEnv, VectorWrapper
from torch import Tensor, nn

import pg_agents as pg
from pg_agents.data.tree import Tree
from pg_agents.distributions import Categorical, Distribution
from pg_agents.policies import Memory

LARGE = 1e4


class Scaled(VectorWrapper):
    """Rewards times a number; observations times a hundred, around another number than 0.

    Args:
        env: the environment, with Box observations.
        around: the number that observations are around; 0: they are as they were.
        rewards: the factor of rewards.
    """

    def __init__(self, env: VectorEnv, around: float = 0.0, rewards: float = 1.0) -> None:
        super().__init__(env)
        self.around, self.rewards = around, rewards
        self.single_observation_space = gym.spaces.Box(-np.inf, np.inf, env.single_observation_space.shape)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, env.num_envs)

    def reset(self, **how: Any) -> Any:  # noqa: ANN401
        """Return the first observations."""
        observations, infos = self.env.reset(**how)
        return self._scaled(observations), infos

    def step(self, actions: Any) -> Any:  # noqa: ANN401
        """Take a step."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        if "final_obs" in infos:
            infos["final_obs"] = self._scaled(infos["final_obs"])
        return self._scaled(observations), self.rewards * rewards, terminated, truncated, infos

    def _scaled(self, observations: Any) -> Any:  # noqa: ANN401
        return (self.around + 100 * observations).astype(np.float32) if self.around else observations


class ClockTerminates(VectorWrapper):
    """Reports the end of time as a termination: the value of what would have come counts 0."""

    def step(self, actions: Any) -> Any:  # noqa: ANN401
        """Take a step."""
        observations, rewards, terminated, truncated, infos = self.env.step(actions)
        return observations, rewards, terminated | truncated, np.zeros_like(truncated), infos


class Tour(gym.Env):
    """Six towns on a line, each to be visited once; a second visit costs 2 and leads nowhere.

    Args:
        shifted: whether entry a of the mask is that of action a − 1.
    """

    towns = np.array([0.0, 3.0, 1.0, 5.0, 2.0, 4.0])
    action_space = gym.spaces.Discrete(6)
    observation_space = gym.spaces.Dict(here=gym.spaces.Discrete(6), seen=gym.spaces.MultiBinary(6))

    def __init__(self, shifted: bool = False) -> None:
        self.shifted = shifted

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Begin in the first town."""
        super().reset(seed=seed)
        self.here, self.seen, self.steps = 0, np.zeros(6, np.int8), 0
        self.seen[0] = 1
        return self._observed(), self._mask()

    def step(self, action: Any) -> Any:  # noqa: ANN401
        """Go to a town."""
        self.steps += 1
        reward = -2.0 if self.seen[action] else -abs(self.towns[action] - self.towns[self.here])
        self.here, self.seen[action] = int(action), 1
        done = bool(self.seen.all())
        return self._observed(), float(reward), done, self.steps >= 20 and not done, self._mask()

    def _mask(self) -> dict[str, Any]:
        allowed = np.ones(6, np.int8) if self.seen.all() else 1 - self.seen
        return {"action_mask": np.roll(allowed, 1) if self.shifted else allowed}

    def _observed(self) -> dict[str, Any]:
        return {"here": self.here, "seen": self.seen.copy()}


class TwoFacedPolicy(pg.Policy):
    """A policy that acts with sharper probabilities than it learns with: a temperature in one place only."""

    def __init__(self, sharper: float) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
        self.sharper = sharper

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Distribution:
        """Return the distributions for learning."""
        return Categorical(self.network(observations))

    def step(self, observation: Tree, memory: Memory = None) -> tuple[Distribution, Memory]:
        """Return the distributions for acting."""
        return Categorical(self.sharper * self.network(observation)), memory


class PlainCritic(pg.Critic):
    """V by a small network."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1))

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values."""
        return self.network(observations).squeeze(-1)


def copying(part_marks: bool) -> pg_envs.TokenTask:
    """Return the task of copying four symbols of eight, with marks for each of them or for all four only."""

    def score(prompt: tuple[int, ...], completion: list[int]) -> float:
        right = [a == b for a, b in zip(prompt, completion, strict=False)]
        return sum(right) / 4 if part_marks else float(len(right) == 4 and all(right))

    def prompt(generator: np.random.Generator) -> list[int]:
        return generator.integers(2, 10, 4).tolist()

    return pg_envs.TokenTask(prompt, score, vocabulary=10, eos=1, max_new_tokens=4, max_prompt_length=4)


def seeded(seed: int) -> None:
    """Seed what draws the parameters of one's own networks."""
    torch.manual_seed(seed)
