"""What the episodes of a group are worth beside each other, as pure functions of scores [..., B]."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from pg_agents.functional.returns import rounding

Comparison = Literal["standardized", "batch-standardized", "centred"]


def leave_one_out(scores: Tensor, group_ids: Tensor | None = None) -> Tensor:
    """Return each column's score minus the mean of the others in its group, [..., B].

        A_i = R_i − (1/(n − 1)) Σ_{j≠i} R_j = n/(n − 1) (R_i − mean_j R_j)

    The mean does not see the sample it is compared with, so the expected gradient is left alone. A column that is
    alone in its group keeps its score.

    Args:
        scores: R, of one episode a column, [..., B].
        group_ids: which columns belong together, [B]; None: all of them.

    Reference: Kool, van Hoof & Welling (2019); Ahmadian et al. (2024).
    """
    same = _same_group(scores, group_ids)
    others = (same.sum(0) - 1).clamp(min=1)
    return scores - (scores @ same - scores) / others


def group_standardize(scores: Tensor, group_ids: Tensor | None = None, epsilon: float = 1e-4) -> Tensor:
    """Return (R_i − mean) / (std + ε) within each group of columns, [..., B].

    The standard deviation divides by n − 1; a column that is alone in its group, or one whose group's scores are equal
    but for rounding, gets 0. The mean contains the sample itself and the standard deviation changes the direction of
    the expected gradient: it is biased.

    Args:
        scores: R, of one episode a column, [..., B].
        group_ids: which columns belong together, [B]; None: all of them.
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
    """Return what the episodes of a group are worth beside each other, and the group's standard deviation, [..., B].

    | how | of scores R, one episode a column |
    |---|---|
    | standardized | (R_i − mean) / (std + ε), both of the group |
    | batch-standardized | (R_i − mean of the group) / (std of all columns + ε) |
    | centred | R_i − mean of the group |

    Standard deviations divide by n − 1; see `group_centre`. Dividing by that of all columns leaves the weight that
    groups have beside each other alone.

    Args:
        how: see above.
        scores: R, [..., B].
        group_ids: which columns belong together, [B]; None: all of them.
        began: which columns are episodes, bool [B]; None: all of them.
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

    The standard deviation divides by n − 1. Deviations that rounding alone can cause, given the largest score of the
    group, count as none: both are then 0, as they are for a column that is alone. As the mean contains the sample
    itself, the expected gradient is scaled by (n − 1)/n.

    Args:
        scores: R, of one episode a column, [..., B].
        group_ids: which columns belong together, [B]; None: all of them.

    Reference: Liu et al. (2025), Dr. GRPO.
    """
    same = _same_group(scores, group_ids)
    counts = same.sum(0)
    below = scores - torch.where(same.bool(), scores[..., None], -torch.inf).amax(-2)  # equal scores: 0, not rounded
    centred = below - (below @ same) / counts
    std = ((centred.square() @ same) / (counts - 1).clamp(min=1)).sqrt()
    varies = std > rounding(scores[..., None] * same, (-2,)).squeeze(-2)
    return centred * varies, std * varies


def _same_group(scores: Tensor, group_ids: Tensor | None) -> Tensor:
    """Return 1 where two columns are of one group, else 0, [B, B]."""
    ids = torch.zeros(scores.shape[-1], device=scores.device) if group_ids is None else group_ids
    return (ids[:, None] == ids).to(scores.dtype)
