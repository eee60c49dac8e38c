"""Returns and advantages as pure functions of arrays [T, B]; termination and truncation are data, never branches."""

from __future__ import annotations

import torch
from torch import Tensor


def lambda_returns(rewards: Tensor, next_values: Tensor, discounts: Tensor, lambdas: Tensor) -> Tensor:
    """Return the λ-returns, by one backward recursion.

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
    returns = torch.empty_like(rewards)
    fixed = rewards + discounts * (1 - lambdas) * next_values
    carried = discounts * lambdas
    following = next_values[-1]
    for t in range(rewards.shape[0] - 1, -1, -1):
        following = torch.addcmul(fixed[t], carried[t], following, out=returns[t])
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


def standardize(values: Tensor, mask: Tensor, epsilon: float = 1e-8) -> Tensor:
    """Return (x − mean) / (std + ε) over the rows where mask is True, 0 elsewhere, [T, B].

    The standard deviation divides by n. A single valid row, or rows that are equal but for rounding, give 0.
    """
    centred, std = centre(values, mask)
    return centred / (std + epsilon)


def centre(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return x − mean over the rows where mask is True, 0 elsewhere, [T, B], and their standard deviation.

    Deviations that rounding alone can cause count as none.
    """
    weights = mask.to(values.dtype) / mask.sum().clamp(min=1)
    centred = (values - (weights * values).sum()) * mask
    std = (weights * centred.square()).sum().sqrt()
    rounding = 16 * torch.finfo(values.dtype).eps * (values * mask).abs().max()
    varies = std > rounding
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
    total, left = centre(targets, mask)[1], centre(targets - predictions, mask)[1]
    return torch.where(total > 0, 1 - (left / total).square(), torch.nan)
