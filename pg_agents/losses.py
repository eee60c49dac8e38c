"""Losses as pure functions of arrays [T, B]; a term a row, which the agent weighs and sums."""

from __future__ import annotations

import torch
from torch import Tensor


def policy_gradient(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Return −Ψ_t ln π(A_t|S_t), whose gradient is minus the policy-gradient estimate, [T, B].

    No gradient flows through the advantages.

    Reference: Williams (1992); Schulman et al. (2016), equation 1.
    """
    return -advantages.detach() * log_probs


def squared_error(values: Tensor, targets: Tensor) -> Tensor:
    """Return ½ (V(S_t) − G_t)², [T, B]; no gradient flows through the targets (a semi-gradient where they bootstrap).

    Reference: Sutton & Barto (2018), section 9.3.
    """
    return 0.5 * (values - targets.detach()).square()


def mean_over_episodes(mask: Tensor, num_learners: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return weights that sum a term over each episode's steps and average over the B episodes, [T, B].

    A column is an episode, unless it has no valid row. With independent learners (one a column) each keeps its own sum.
    """
    return mask.to(dtype) if num_learners > 1 else mask.to(dtype) / mask.any(0).sum().clamp(min=1)


def mean_over_steps(mask: Tensor, num_learners: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return weights that average a term over all valid steps, [T, B]; with independent learners, over each column."""
    total = mask.sum(0) if num_learners > 1 else mask.sum()
    return mask.to(dtype) / total.clamp(min=1)
