"""A policy acting in a stream."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.distributions import Distribution
from pg_agents.policies.policy import Policy
from pg_agents.spaces import action_door
from pg_agents.stream import Stream
from pg_agents.tree import Tree, tree_map


class Decision(NamedTuple):
    """What a policy saw and did in B environments.

    Attributes:
        observation: [B, …] arrays, copied from the environment.
        distribution: over actions.
        actions: as sampled.
    """

    observation: Tree
    distribution: Distribution
    actions: Tensor


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
        self.on_cpu = self.device.type == "cpu"
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.door = action_door(stream.env.single_action_space)
        self.memory: Any = None

    def act(self) -> tuple[NDArray[Any], Decision]:
        """Return the actions for the environment, [B, …], and how they came about."""
        seen = tree_map(np.array, self.stream.observation)  # a copy: environments may reuse their arrays
        if self.policy.recurrent and self.stream.starts.any():
            self.memory = self.policy.reset_memory(self.memory, torch.from_numpy(self.stream.starts).to(self.device))
        distribution, self.memory = self.policy.step(tree_map(self._tensor, seen), self.memory)
        actions = distribution.mode() if self.greedy else distribution.sample(self.generator)
        return self.door(self.policy.outward(actions)), Decision(seen, distribution, actions)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor if self.on_cpu else tensor.to(self.device)
