"""Returns and advantages as pure functions of arrays [T, B]; termination and truncation are data, never branches."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Comparison = Literal["standardized", "batch-standardized", "centred"]  # of the episodes of a group


def lambda_returns(rewards: Tensor, next_values: Tensor, discounts: Tensor, lambdas: Tensor) -> Tensor:
    """Return the λ-returns, in log₂ T passes over all rows: each doubles the number of rows that a return has seen.

        G_t = R_{t+1} + γ_t [(1 − λ_t) V(S_{t+1}) + λ_t G_{t+1}]

    λ = 1 with V = 0 is the Monte-Carlo return, λ = 0 the one-step TD target, λ-return − V the GAE(λ) advantage.
    At the last row there is no G_{t+1}: λ_{T−1} must be 0, or V(S_T) is used in its place.

    Args:
        rewards: R_{t+1}, [T, B].
        next_values: V(S_{t+1}), [T, B].
        discounts: γ_t, the discount; 0 where the episode terminated, [T, B].
        lambdas: λ_t; 0 where the episode was cut, [T, B].

    Reference: Sutton & Barto (2018), section 12.8; Schulman et al. (2016).
    """
    returns = rewards + discounts * (1 - lambdas) * next_values
    carried = discounts * lambdas
    returns[-1] += carried[-1] * next_values[-1]
    carried, seen = carried[:-1], 1
    while seen < len(returns):  # G_t of `seen` rows, and what it takes of the return that follows them
        returns[:-seen] += carried * returns[seen:]
        carried, seen = carried[:-seen] * carried[seen:], 2 * seen
    return returns


def step_discounts(terminated: Tensor, discount: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return γ_t = γ (1 − terminated_t), [T, B]."""
    return discount * (~terminated).to(dtype)


def step_lambdas(truncated: Tensor, lambda_: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return λ_t = λ, but 0 where the episode was cut: at truncations and in the last row, [T, B]."""
    lambdas = lambda_ * (~truncated).to(dtype)
    lambdas[-1] = 0
    return lambdas


def reward_to_go(rewards: Tensor, terminated: Tensor, truncated: Tensor, discount: float) -> Tensor:
    """Return G_t = Σ_{k≥t} γ^{k−t} R_{k+1} to the end of the episode, [T, B].

    A truncated episode counts as one that ended: without a value function nothing stands for the rewards that were cut.
    """
    none = torch.zeros_like(rewards)
    discounts = step_discounts(terminated, discount, rewards.dtype)
    return lambda_returns(rewards, none, discounts, step_lambdas(truncated, 1.0, rewards.dtype))


def whole_returns(rewards: Tensor, terminated: Tensor, truncated: Tensor, starts: Tensor, discount: float) -> Tensor:
    """Return G_0 = Σ_k γ^k R_{k+1} of the whole episode at each of its rows, [T, B].

    Rows before a column's first start are of an episode whose beginning was not seen: they get the return from row 0.
    """
    to_go = reward_to_go(rewards, terminated, truncated, discount)
    row = torch.arange(rewards.shape[0], device=rewards.device)[:, None]
    first = torch.where(starts, row, 0).cummax(0).values  # the row at which each row's episode began
    return to_go.gather(0, first)


def standardize(values: Tensor, mask: Tensor, epsilon: float = 1e-8, *, correction: int = 0) -> Tensor:
    """Return (x − mean) / (std + ε) over the rows where mask is True, 0 elsewhere, [T, B].

    The standard deviation divides by n − `correction`. A single valid row, or rows that are equal but for rounding,
    give 0.
    """
    centred, std = centre(values, mask, correction)
    return centred / (std + epsilon)


def centre(values: Tensor, mask: Tensor, correction: int = 0) -> tuple[Tensor, Tensor]:
    """Return x − mean over the rows where mask is True, 0 elsewhere, […, T, B], and the standard deviation, […, 1, 1].

    The standard deviation divides by n − `correction`. Deviations that rounding alone can cause count as none.
    """
    count = mask.sum().clamp(min=1)
    valid = values * mask
    centred = (values - valid.sum((-2, -1), keepdim=True) / count) * mask
    std = (centred.square().sum((-2, -1), keepdim=True) / (count - correction).clamp(min=1)).sqrt()
    varies = std > 16 * torch.finfo(values.dtype).eps * valid.abs().amax((-2, -1), keepdim=True)
    return centred * varies, std * varies


def mean_by_time(values: Tensor, times: Tensor, mask: Tensor, num_episodes: int | Tensor) -> Tensor:
    """Return at each row the mean over episodes of `values` at the same time within the episode, [T, B].

        b(t) = (1/n) Σ_i G_t^{(i)},   G_t^{(i)} = 0 for an episode that has ended before t

    As a baseline it includes the sample itself, which scales the expected gradient by (n − 1)/n.
    """
    sums = torch.zeros(int(times.max()) + 1, dtype=values.dtype, device=values.device)
    sums.index_add_(0, times[mask], values[mask])
    return (sums / num_episodes)[times]


def explained_variance(predictions: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return 1 − Var[targets − predictions] / Var[targets] over the masked rows: 1 is perfect, 0 a constant's worth.

    NaN where the targets do not vary.
    """
    total, left = centre(torch.stack([targets, targets - predictions]), mask)[1].flatten()
    return torch.where(total > 0, 1 - (left / total).square(), torch.nan)


def gae(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    discount: float,
    lambda_: float,
) -> Tensor:
    """Return the generalised advantage estimates: the λ-return minus V(S_t), [T, B].

        Â_t = Σ_k (γλ)^k δ_{t+k},   δ_t = R_{t+1} + γ V(S_{t+1}) − V(S_t)

    λ = 0 is the TD residual, λ = 1 the return minus V(S_t). With V = V_π every λ gives the exact policy gradient in
    expectation, with another V only λ = 1 on whole episodes does.

    Args:
        rewards: R_{t+1}, [T, B].
        values: V(S_t), [T, B].
        next_values: V(S_{t+1}), [T, B].
        terminated: where V(S_{t+1}) is worth nothing, [T, B].
        truncated: where the episode was cut, [T, B].
        discount: γ.
        lambda_: λ.

    Reference: Schulman et al. (2016), equation 16.
    """
    discounts = step_discounts(terminated, discount, rewards.dtype)
    return lambda_returns(rewards, next_values, discounts, step_lambdas(truncated, lambda_, rewards.dtype)) - values


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
    largest = (scores.abs()[..., None] * same).amax(-2)
    varies = std > 4 * torch.finfo(scores.dtype).eps * largest
    return centred * varies, std * varies


def _same_group(scores: Tensor, group_ids: Tensor | None) -> Tensor:
    """Return 1 where two columns are of one group, else 0, [B, B]."""
    ids = torch.zeros(scores.shape[-1], device=scores.device) if group_ids is None else group_ids
    return (ids[:, None] == ids).to(scores.dtype)
