"""Baselines without a critic, which are subtracted from returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from pg_agents.data.rollout import Rollout
from pg_agents.functional.returns import mean_by_time

BaselineName = Literal["value", "running-average", "batch-mean", "constant"]


class Baseline(nn.Module, ABC):
    """b: the number subtracted from a return, computed from a rollout and its returns [T, B] without a critic."""

    @abstractmethod
    def forward(self, rollout: Rollout, returns: Tensor) -> Tensor:
        """Return b for each step, [T, B]."""


class Constant(Baseline):
    """b = a number."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, rollout: Rollout, returns: Tensor) -> Tensor:
        """Return the constant."""
        return torch.full_like(returns, self.constant)


class RunningAverage(Baseline):
    """The average of all returns of earlier rollouts; 0 before the first. Unbiased: independent of this rollout.

    B_t = (1/t) Σ_{k≤t} R_k     (equation 13; independent learners have one each)
    """

    total: Tensor
    count: Tensor

    def __init__(self, num_learners: int = 1) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(num_learners, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(num_learners, dtype=torch.float64))

    def forward(self, rollout: Rollout, returns: Tensor) -> Tensor:
        """Return the average over earlier rollouts, then include this rollout in it."""
        average = (self.total / self.count.clamp(min=1)).to(returns.dtype)  # [L], L = 1 or B
        total, count = (returns * rollout.mask).sum(0), rollout.mask.sum(0)
        several = len(self.total) > 1
        self.total += total if several else total.sum()
        self.count += count if several else count.sum()
        return average.expand_as(returns)


class BatchMean(Baseline):
    """b(t) = the mean over the batch's episodes of the return from time t; episodes that have ended count as 0.

    It includes the episode it is subtracted from, which scales the expected gradient by (n − 1)/n for n episodes.
    """

    def forward(self, rollout: Rollout, returns: Tensor) -> Tensor:
        """Return the mean at each step's time, [T, B]."""
        return mean_by_time(returns, rollout.times, rollout.mask, rollout.mask.any(0).sum().clamp(min=1))


def make_baseline(name: BaselineName, constant: float, num_learners: int) -> Baseline | None:
    """Return the baseline called `name`; None for "value", for which an agent has a critic.

    Raises:
        ValueError: "batch-mean" with independent learners.
    """
    if name == "batch-mean" and num_learners > 1:
        raise ValueError(f"baseline='batch-mean' needs a batch, and each of {num_learners} learners has one episode")
    others: dict[str, Baseline] = {
        "constant": Constant(constant),
        "batch-mean": BatchMean(),
        "running-average": RunningAverage(num_learners),
    }
    return others.get(name)
