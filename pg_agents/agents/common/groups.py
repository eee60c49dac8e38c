"""Shared by agents that compare the episodes of a group with each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from pg_agents.agents.common.advantages import time_weights
from pg_agents.data.learners import by_learner
from pg_agents.data.rollout import Rollout
from pg_agents.data.tree import tree_map

GROUP_SIZE = 8  # the default


def fitting_group_size(num_envs: int) -> int:
    """Return the largest group size from 2 to 8 that divides `num_envs`; 8 if none does."""
    return next((size for size in range(GROUP_SIZE, 1, -1) if num_envs % size == 0), GROUP_SIZE)


def returns_of_columns(rollout: Rollout, discount: float | Tensor) -> Tensor:
    """Return R = Σ_t γ^t R_{t+1} of each column, which is one episode, [B]; a truncated episode ends there."""
    return (time_weights(rollout, discount) * rollout.rewards * rollout.mask).sum(0)


def share(flags: Tensor, rollout: Rollout) -> Tensor:
    """Return the share of columns whose flag is True, of bool [B]; of several learners [L]."""
    ones = flags.to(rollout.rewards.dtype)
    return ones.mean() if rollout.num_learners == 1 else by_learner(ones, rollout.num_learners).mean(-1)


def compared(function: Callable[..., Any], rollout: Rollout, scores: Tensor, *columns: Tensor) -> Any:  # noqa: ANN401
    """Return `function` of scores, group ids and more of columns, which sees the episodes of a learner by themselves.

    Args:
        function: of scores [..., B], group ids [B] or None, and `columns` → one or several arrays [..., B]. Of several
            learners it gets [..., L, b] and [L, b].
        rollout: whose columns belong to groups and learners.
        scores: [..., B].
        *columns: [B].
    """
    ids, learners = rollout.group_ids, rollout.num_learners
    if learners == 1:
        return function(scores, ids, *columns)
    ids = None if ids is None else by_learner(ids, learners)
    result = function(by_learner(scores, learners), ids, *(by_learner(one, learners) for one in columns))
    return tree_map(lambda leaf: leaf.flatten(-2), result)
