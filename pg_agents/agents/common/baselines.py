"""Baselines: what is subtracted from the return; each is fixed before the action it is compared with is drawn."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from pg_agents.data.rollout import Rollout
from pg_agents.functional.returns import mean_by_time

BaselineName = Literal["value", "running-average", "batch-mean", "constant"]


class Baseline(nn.Module, ABC):
    """b: what a return is compared with, computed from a rollout and its returns [T, B] without a critic."""

    @abstractmethod
    def forward(self, rollout: Rollout, returns: Tensor) -> Tensor:
        """Return b for each row, [T, B]."""


class Constant(Baseline):
    """b = a number."""

    def __init__(self, constant: float) -> None:
        super().__init__()
        self.constant = constant

    def forward(self, rollout: Rollout, returns: Tensor) -> Tensor:
        """Return the constant."""
        return torch.full_like(returns, self.constant)


class RunningAverage(Baseline):
    """B = the average of all returns of earlier rollouts; 0 before the first. Unbiased: it knows nothing of this one.

    B_t = (1/t) Σ_{k≤t} R_k     (equation 13; of each learner, where there are several)
    """

    total: Tensor
    count: Tensor

    def __init__(self, num_learners: int = 1) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(num_learners, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(num_learners, dtype=torch.float64))

    def forward(self, rollout: Rollout, returns: Tensor) -> Tensor:
        """Return the average before this rollout, then take the rollout into it."""
        average = (self.total / self.count.clamp(min=1)).to(returns.dtype)  # [L], L = 1 or B
        total, count = (returns * rollout.mask).sum(0), rollout.mask.sum(0)
        several = len(self.total) > 1
        self.total += total if several else total.sum()
        self.count += count if several else count.sum()
        return average.expand_as(returns)


class BatchMean(Baseline):
    """b(t) = the mean over the batch's episodes of the return from time t; an episode that has ended counts as 0.

    It includes the episode it is subtracted from, which scales the expected gradient by (n − 1)/n for n episodes.
    """

    def forward(self, rollout: Rollout, returns: Tensor) -> Tensor:
        """Return the mean at each row's time."""
        return mean_by_time(returns, rollout.times, rollout.mask, rollout.mask.any(0).sum().clamp(min=1))


def make_baseline(name: BaselineName, constant: float, num_learners: int) -> Baseline | None:
    """Return the baseline called `name`; None for "value", which is a critic.

    Raises:
        ValueError: "batch-mean" of independent learners.
    """
    if name == "batch-mean" and num_learners > 1:
        raise ValueError(f"baseline='batch-mean' needs a batch, and each of {num_learners} learners has one episode")
    others: dict[str, Baseline] = {
        "constant": Constant(constant),
        "batch-mean": BatchMean(),
        "running-average": RunningAverage(num_learners),
    }
    return others.get(name)
