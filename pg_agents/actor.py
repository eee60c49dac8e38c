"""A policy acting in a stream."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.policies.policy import Policy
from pg_agents.spaces import action_door
from pg_agents.stream import Stream
from pg_agents.tree import Tree, tree_map

Acted = tuple[Tree, Tensor, Tensor]  # observations, actions, log-probabilities, [B, …] each


class Actor:
    """A policy acting in a stream: its generator and its memory.

    Args:
        stream: what it acts in.
        policy: whose actions are taken.
        seed: of the sampled actions.
        greedy: take the mode of the policy's distribution instead of sampling.
    """

    def __init__(self, stream: Stream, policy: Policy, seed: int, *, greedy: bool = False) -> None:
        self.stream, self.policy, self.greedy = stream, policy, greedy
        self.device = next(policy.parameters()).device
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.door = action_door(stream.env.single_action_space)
        self.memory: Any = None

    def act(self) -> tuple[NDArray[Any], Acted]:
        """Return the actions for the environment, and what was seen and done, [B, …] each."""
        observation = tree_map(self._tensor, self.stream.observation)
        if self.policy.recurrent and self.stream.starts.any():
            self.memory = self.policy.reset_memory(self.memory, self._tensor(self.stream.starts))
        distribution, self.memory = self.policy.step(observation, self.memory)
        actions = distribution.mode() if self.greedy else distribution.sample(self.generator)
        return self.door(actions), (observation, actions, distribution.log_prob(actions))

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.array(array)).to(self.device)  # a copy: environments may reuse their arrays
