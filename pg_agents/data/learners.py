"""Which columns of a rollout belong to which of several independent learners.

L learners with b environments each have L · b columns; those of learner i are i · b … (i + 1) · b − 1. In a minibatch
each learner has one column. What belongs to a learner, not to a column, has L in the place of the columns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from pg_agents.data.tree import Tree, tree_map


def by_learner(values: Tensor, num_learners: int) -> Tensor:
    """Return values of columns, [..., L · b], as [..., L, b]."""
    return values.unflatten(-1, (num_learners, -1))


def apart(values: Tensor, num_learners: int) -> Tensor:
    """Return values [T, L · b] as [L, T, b]."""
    return by_learner(values, num_learners).movedim(-2, 0)


def side_by_side(values: Tensor) -> Tensor:
    """Return values [L, T, b] as [T, L · b]."""
    return values.movedim(0, -2).flatten(-2)


def of_each(function: Callable[..., Tensor], num_learners: int, *arrays: Tensor, **named: Any) -> Tensor:  # noqa: ANN401
    """Return `function` of arrays [T, B], applied to each learner's columns by themselves.

    Args:
        function: of arrays […, T, B] → an array […, T, B], or a number for each leading index, […].
        num_learners: L.
        *arrays: [T, B].
        **named: more arguments, of which tensors are [T, B].

    Returns:
        [T, B], or the numbers of all learners, [L], without a dimension for one learner.
    """
    if num_learners == 1:
        return function(*arrays, **named)
    named = {name: apart(value, num_learners) if isinstance(value, Tensor) else value for name, value in named.items()}
    result = function(*(apart(array, num_learners) for array in arrays), **named)
    return side_by_side(result) if result.ndim == 3 else result


def of_columns(values: Tensor, columns: int) -> Tensor:
    """Return values of learners, [L, …], as those of their columns, [columns, …]."""
    learners = len(values)
    if learners == columns:
        return values
    return values[:, None].expand(learners, columns // learners, *values.shape[1:]).flatten(0, 1)


def is_zero(value: float | Tensor) -> bool:
    """Return whether a number is 0; numbers of learners or of columns are taken for others."""
    return not isinstance(value, Tensor) and value == 0


def learner_first(features: Tensor, num_learners: int) -> Tensor:
    """Return features of columns, [..., L · b, F], as [L, rows, F]: a matrix of rows for each learner."""
    size = features.shape[-1]
    if features.ndim == 2:
        return features.view(num_learners, -1, size)
    if features.shape[-2] == num_learners:
        return features.reshape(-1, num_learners, size).transpose(0, 1)
    apart = features.reshape(-1, num_learners, features.shape[-2] // num_learners, size)
    return apart.transpose(0, 1).reshape(num_learners, -1, size)


def learner_last(rows: Tensor, like: Tensor) -> Tensor:
    """Return [L, rows, G] as [..., L · b, G], in the order in which `learner_first` has found them in `like`."""
    learners, size = rows.shape[0], rows.shape[-1]
    if like.ndim == 2:
        return rows.reshape(-1, size)
    *leading, columns, _ = like.shape
    return rows.unflatten(1, (-1, columns // learners)).transpose(0, 1).reshape(*leading, columns, size)


class Columns:
    """Columns for K rows that belong to learners in any order: as many for each learner, some of them of no row.

    Args:
        places: the column of each row, int64 [K].
        total: the number of columns.
    """

    def __init__(self, places: Tensor, total: int) -> None:
        self.places, self.total = places, total

    @classmethod
    def for_rows(cls, learners: Tensor, num_learners: int) -> Columns:
        """Return as few columns as do for rows of `learners`, int64 [K], of which there are L."""
        counts, order = learners.bincount(minlength=num_learners), learners.argsort(stable=True)
        before = torch.empty_like(learners)  # rows of the same learner
        before[order] = torch.arange(len(order), device=order.device) - (counts.cumsum(0) - counts)[learners[order]]
        most = int(counts.max())
        return cls(learners * most + before, num_learners * most)

    @classmethod
    def for_final_rows(cls, final_rows: Tensor, shape: torch.Size, num_learners: int) -> Columns:
        """Return columns for the final observations of a rollout of shape [T, L · b], given their rows, [K, 2].

        Those of a single step, of which a column has one at most, stay in the columns in which they are.
        """
        steps, total = shape
        if steps == 1:
            return cls(final_rows[:, 1], total)
        return cls.for_rows(final_rows[:, 1] // (total // num_learners), num_learners)

    def of(self, rows: Tree) -> Tree:
        """Return rows [K, …] in their columns, [L · b, …], and the first of them in columns of no row."""

        def placed(leaf: Tensor) -> Tensor:
            return leaf[:1].repeat(self.total, *[1] * (leaf.ndim - 1)).index_copy_(0, self.places, leaf)

        return tree_map(placed, rows)
