"""Shared by agents that compare the episodes of a group with each other."""

from __future__ import annotations

from torch import Tensor

from pg_agents.agents.common.advantages import time_weights
from pg_agents.data.rollout import Rollout

GROUP_SIZE = 8  # the default


def fitting_group_size(num_envs: int) -> int:
    """Return the largest group size from 2 to 8 that divides `num_envs`; 8 if none does."""
    return next((size for size in range(GROUP_SIZE, 1, -1) if num_envs % size == 0), GROUP_SIZE)


def returns_of_columns(rollout: Rollout, discount: float | Tensor) -> Tensor:
    """Return R = Σ_t γ^t R_{t+1} of each column, which is one episode, [B]; a truncated episode ends there."""
    return (time_weights(rollout, discount) * rollout.rewards * rollout.mask).sum(0)


def check_compared(num_learners: int) -> None:
    """Raise ValueError for independent learners: only episodes of the same policy can be compared."""
    if num_learners > 1:
        raise ValueError(
            f"num_learners must be 1, got {num_learners}: the episodes of a group are compared with each other, "
            "which would couple independent learners"
        )
