"""Baselines without a critic, which are subtracted from returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn

from pg_agents.data.learners import by_learner, of_columns
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
        average = (self.total / self.count.clamp(min=1)).to(returns.dtype)  # [L]
        learners, columns = len(self.total), returns.shape[1]
        self.total += by_learner((returns * rollout.mask).sum(0), learners).sum(-1)
        self.count += by_learner(rollout.mask.sum(0), learners).sum(-1)
        return of_columns(average, columns).expand_as(returns)


class BatchMean(Baseline):
    """b(t) = the mean over the batch's episodes of the return from time t; episodes that have ended count as 0.

    It includes the episode it is subtracted from, which scales the expected gradient by (n − 1)/n for n episodes.
    """

    def forward(self, rollout: Rollout, returns: Tensor) -> Tensor:
        """Return the mean at each step's time, [T, B]."""
        columns, learners = returns.shape[1], rollout.num_learners
        episodes = by_learner(rollout.mask.any(0), learners).sum(-1).clamp(min=1)
        apart = of_columns(torch.arange(learners, device=returns.device), columns) * (rollout.times.max() + 1)
        return mean_by_time(returns, rollout.times + apart, rollout.mask, 1) / of_columns(episodes, columns)


def make_baseline(name: BaselineName, constant: float, num_learners: int) -> Baseline | None:
    """Return the baseline called `name`; None for "value", for which an agent has a critic."""
    others: dict[str, Baseline] = {
        "constant": Constant(constant),
        "batch-mean": BatchMean(),
        "running-average": RunningAverage(num_learners),
    }
    return others.get(name)
