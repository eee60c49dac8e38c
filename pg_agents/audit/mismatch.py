"""Compares recorded and learned log-probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from pg_agents.data.rollout import Rollout
from pg_agents.distributions import Categorical, Distribution, TokenCategorical
from pg_agents.policies import Policy


class Rounding(NamedTuple):
    """How much rounding may change log-probabilities: at most, and on average."""

    most: float
    mean: float


# SmolLM2-135M: up to 3e-5 in float32, 0.03 (0.005 on average) in float16, 0.5 (0.04) in bfloat16.
ROUNDING = {torch.float16: Rounding(0.25, 0.03), torch.bfloat16: Rounding(2.0, 0.15)}
EXACT = Rounding(1e-3, 1e-3)


class Mismatch:
    """Recorded and learned log-probabilities of a rollout.

    Args:
        policy: the policy, in the mode in which it learns.
        rollout: its rollout.

    Attributes:
        rounding: the differences that the precision of the parameters explains.
        tolerance: the smallest difference of a single decision that counts as wrong.
        learned: ln π of the actions as learning computes it, [T, B].
        difference: |learned − recorded|, [T, B]; 0 where no decision was taken, ∞ where one of them is NaN.
    """

    def __init__(self, policy: Policy, rollout: Rollout) -> None:
        self.policy, self.rollout = policy, rollout
        self.rounding = ROUNDING.get(next(policy.parameters()).dtype, EXACT)
        self.tolerance = min(self.rounding.most, 2 * self.rounding.mean)
        self.distribution = self._passed(policy)
        with torch.no_grad():
            self.learned = self.distribution.log_prob(rollout.actions)
        self.difference = self.distance(self.learned)

    @torch.no_grad()
    def _passed(self, policy: Policy, skip: int = 0) -> Distribution:
        """Return the distributions of the rollout, after `skip` random numbers; the run's generator is not changed."""
        rollout, device = self.rollout, self.rollout.mask.device
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            torch.rand(skip, device=device)
            return policy(rollout.observations, rollout.memory, rollout.episode_starts)

    @torch.no_grad()
    def learn(self, policy: Policy | None = None) -> Tensor:
        """Return the learned ln π of the actions, [T, B], from another pass with other random numbers."""
        return self._passed(policy or self.policy, skip=1).log_prob(self.rollout.actions)

    @torch.no_grad()
    def of_all_actions(self, rows: slice) -> Tensor | None:
        """Return the learned ln π of all actions at some decisions, [n, A]; None if actions are not categorical.

        `rows` counts valid decisions only.
        """
        mask, taken = self.rollout.mask, self.rollout.actions
        if taken.ndim != mask.ndim:
            return None
        if isinstance(self.distribution, TokenCategorical):
            hidden = self.distribution.hidden[mask[self.distribution.where]][rows]
            z = self.distribution.sampling(self.distribution.head(hidden), taken[mask][rows])
        elif isinstance(self.distribution, Categorical):
            z = self.distribution.unnormalized[mask][rows]
        else:
            return None
        return z.double().log_softmax(-1)

    def distance(self, log_probs: Tensor, other: Tensor | None = None) -> Tensor:
        """Return |log_probs − other| where decisions were taken, else 0, [T, B]; `other`: the recorded ones if None."""
        other = self.rollout.log_probs if other is None else other
        gap = (log_probs.double() - other.double()).abs().nan_to_num(nan=math.inf)
        same = log_probs == other.to(log_probs.dtype)  # −∞ on both sides
        return torch.where(self.rollout.mask & ~same, gap, 0.0)

    @property
    def wrong(self) -> Tensor:
        """Where recorded and learned log-probabilities differ by more than rounding, bool [T, B]."""
        return self.difference > self.tolerance

    @cached_property
    def worst(self) -> tuple[int, int]:
        """The decision (t, b) with the largest difference."""
        t, b = divmod(int(self.difference.argmax()), self.difference.shape[1])
        return t, b

    def agree(self, log_probs: Tensor) -> bool:
        """Return whether `log_probs`, [T, B], equal the recorded ones up to rounding."""
        distance = self.distance(log_probs)[self.rollout.mask]
        return float(distance.max()) <= self.rounding.most and float(distance.mean()) <= self.rounding.mean


@contextmanager
def evaluating(policy: Policy) -> Iterator[None]:
    """A context in which the policy is in eval() mode."""
    training = [module for module in policy.modules() if module.training]
    policy.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
