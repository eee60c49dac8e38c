"""Advantages from comparing the scores of episodes in a group: pure functions of scores [..., B].

Group ids may have leading dimensions, too: those of several learners are [L, B], for scores [..., L, B].
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pg_agents.functional.returns import rounding

Comparison = Literal["standardized", "batch-standardized", "centred"]


def leave_one_out(scores: Tensor, group_ids: Tensor | None = None) -> Tensor:
    """Return each column's score minus the mean of the others in its group, [..., B].

        A_i = R_i − (1/(n − 1)) Σ_{j≠i} R_j = n/(n − 1) (R_i − mean_j R_j)

    The mean does not contain the sample itself, so the expected gradient is unchanged. A column that is alone in its
    group keeps its score.

    Args:
        scores: R, of one episode a column, [..., B].
        group_ids: the group of each column, [..., B]; None: all columns are one group.

    Reference: Kool, van Hoof & Welling (2019); Ahmadian et al. (2024).
    """
    same = _same_group(scores, group_ids)
    others = (same.sum(-2) - 1).clamp(min=1)
    return scores - (_of_groups(scores, same) - scores) / others


def group_standardize(scores: Tensor, group_ids: Tensor | None = None, epsilon: float = 1e-4) -> Tensor:
    """Return (R_i − mean) / (std + ε) within each group of columns, [..., B].

    The standard deviation divides by n − 1. A column that is alone in its group, or whose group's scores are equal up
    to rounding, gets 0. The estimator is biased: the mean contains the sample itself, and dividing by the standard
    deviation changes the direction of the expected gradient.

    Args:
        scores: R, of one episode a column, [..., B].
        group_ids: the group of each column, [..., B]; None: all columns are one group.
        epsilon: ε.

    Reference: Shao et al. (2024), GRPO.
    """
    return compare("standardized", scores, group_ids, epsilon=epsilon)[0]


def compare(
    how: Comparison,
    scores: Tensor,
    group_ids: Tensor | None = None,
    began: Tensor | None = None,
    epsilon: float = 1e-4,
) -> tuple[Tensor, Tensor]:
    """Return the scores relative to their group, and the group's standard deviation, [..., B] each.

    | how | result for scores R, one episode per column |
    |---|---|
    | standardized | (R_i − mean) / (std + ε), both of the group |
    | batch-standardized | (R_i − mean of the group) / (std of all columns + ε) |
    | centred | R_i − mean of the group |

    Standard deviations divide by n − 1; see `group_centre`. Dividing by the standard deviation of all columns keeps the
    relative weights of the groups.

    Args:
        how: a row of the table.
        scores: R, [..., B].
        group_ids: the group of each column, [..., B]; None: all columns are one group.
        began: which columns are episodes, bool [..., B]; None: all of them.
        epsilon: ε.

    Reference: Shao et al. (2024), GRPO; Liu et al. (2025), Dr. GRPO; TRL's `scale_rewards` "group", "batch", "none".
    """
    centred, std = group_centre(scores, group_ids)
    if how == "centred":
        return centred, std
    scale = std if how == "standardized" else group_centre(scores, began)[1]
    return centred / (scale + epsilon), std


def group_centre(scores: Tensor, group_ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return R_i − mean within each group of columns, and the group's standard deviation, [..., B] each.

    The standard deviation divides by n − 1. Both results are 0 where the deviations are no larger than rounding of the
    group's largest score, and for a column that is alone in its group. The mean contains the sample itself, which
    scales the expected gradient by (n − 1)/n.

    Args:
        scores: R, of one episode a column, [..., B].
        group_ids: the group of each column, [..., B]; None: all columns are one group.

    Reference: Liu et al. (2025), Dr. GRPO.
    """
    same = _same_group(scores, group_ids)
    counts = same.sum(-2)
    below = scores - torch.where(same.bool(), scores[..., None], -torch.inf).amax(-2)  # equal scores give exactly 0
    centred = below - _of_groups(below, same) / counts
    std = (_of_groups(centred.square(), same) / (counts - 1).clamp(min=1)).sqrt()
    varies = std > rounding(scores[..., None] * same, (-2,)).squeeze(-2)
    return centred * varies, std * varies


def _same_group(scores: Tensor, group_ids: Tensor | None) -> Tensor:
    """Return 1 where two columns belong to the same group, else 0, [..., B, B]."""
    ids = torch.zeros(scores.shape[-1], device=scores.device) if group_ids is None else group_ids
    return (ids[..., :, None] == ids[..., None, :]).to(scores.dtype)


def _of_groups(values: Tensor, same: Tensor) -> Tensor:
    """Return for each column the sum of its group's values, [..., B], given [..., B] and `_same_group` of them."""
    return values @ same if same.ndim == 2 else torch.einsum("...i,...ij->...j", values, same)
