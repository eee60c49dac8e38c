"""A policy acting in a stream."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.distributions import Distribution, draw
from pg_agents.policies.policy import Policy, check_learners
from pg_agents.seeding import Purpose, spawn
from pg_agents.spaces import action_door
from pg_agents.stream import Stream
from pg_agents.tree import Tree, tree_map


class Decision(NamedTuple):
    """What a policy saw and did in B environments.

    Attributes:
        observation: [B, …] arrays, copied from the environment; of append-only tokens the length alone.
        distribution: over actions.
        actions: as sampled.
    """

    observation: Tree
    distribution: Distribution
    actions: Tensor


class Texts:
    """Append-only windows of tokens as a tensor, brought up to date by each row's newest token.

    What a step changes is one token a row: that is all that is copied, and sent to the device, where no row begins.

    Args:
        device: of the tensor.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.length = np.zeros(0, np.int64)
        self.tokens = torch.zeros(0, 0, dtype=torch.int64)

    def read(self, observation: Tree, starts: NDArray[np.bool_]) -> tuple[Tensor, NDArray[np.int64]]:
        """Return the windows, a tensor [B, W] that the next call writes to, and a copy of their lengths, [B]."""
        tokens, length = observation["tokens"], np.array(observation["length"])
        if self.tokens.shape != tokens.shape:
            self.tokens = torch.from_numpy(np.array(tokens)).to(self.device)
            self.length = length
            return self.tokens, length
        anew = np.flatnonzero(starts | (length < self.length) | (length > self.length + 1))
        if anew.size:
            self.tokens[self._tensor(anew)] = self._tensor(tokens[anew])
        rows, last = np.arange(len(length)), length - 1
        self.tokens[self._tensor(rows), self._tensor(last)] = self._tensor(tokens[rows, last])
        self.length = length
        return self.tokens, length

    def _tensor(self, array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(self.device)


class Actor:
    """A policy acting in a stream: its generator and its memory.

    Args:
        stream: what it acts in.
        policy: whose actions are taken.
        seed: of the sampled actions.
        greedy: take the mode of the policy's distribution instead of sampling.

    Raises:
        ValueError: another number of independent learners than of environments.
    """

    def __init__(self, stream: Stream, policy: Policy, seed: int, *, greedy: bool = False) -> None:
        check_learners(policy, stream.num_envs)
        self.stream, self.policy, self.greedy = stream, policy, greedy
        self.device = next(policy.parameters()).device
        self.on_cpu = self.device.type == "cpu"
        self.generator = torch.Generator(self.device).manual_seed(spawn(seed, Purpose.ACTIONS))
        self.door = action_door(stream.env.single_action_space)
        self.memory: Any = None
        self.texts, self.shown = Texts(self.device), np.zeros(stream.num_envs, np.int64)

    def act(
        self, *, append_only: bool = False, waiting: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[Any], Decision]:
        """Return the actions for the environment, [B, …], and how they came about.

        Args:
            append_only: each step appends at most one token to each row's observation {"tokens", "length"}.
            waiting: rows whose action will count for nothing, [B]; where texts are appended to, the policy is shown
                what it saw there last, so that a cache has nothing to read.

        Raises:
            FloatingPointError: the policy's distribution is not finite.
        """
        if append_only:
            tokens, length = self.texts.read(self.stream.observation, self.stream.starts)
            self.shown = length if waiting is None else np.where(waiting, self.shown, length)
            seen, shown = {"length": length}, {"tokens": tokens, "length": self._tensor(self.shown)}
        else:
            seen = tree_map(np.array, self.stream.observation)  # a copy: environments may reuse their arrays
            shown = tree_map(self._tensor, seen)
        if self.policy.recurrent and self.stream.starts.any():
            self.memory = self.policy.reset_memory(self.memory, torch.from_numpy(self.stream.starts).to(self.device))
        distribution, self.memory = self.policy.step(shown, self.memory)
        actions = draw(distribution, self._where, greedy=self.greedy, generator=self.generator)
        return self.door(self.policy.outward(actions)), Decision(seen, distribution, actions)

    def _where(self, row: int | None) -> str:
        return f"in {self.stream.name} {self.stream.where(row)}"

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor if self.on_cpu else tensor.to(self.device)
