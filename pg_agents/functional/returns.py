"""Returns and advantages as pure functions of arrays [T, B]; termination and truncation are data, never branches."""

from __future__ import annotations

import torch
from torch import Tensor

from pg_agents._fast.recurrence import backward_recurrence


def lambda_returns(rewards: Tensor, next_values: Tensor, discounts: Tensor, lambdas: Tensor) -> Tensor:
    """Return the λ-returns, [T, B].

        G_t = R_{t+1} + γ_t [(1 − λ_t) V(S_{t+1}) + λ_t G_{t+1}]

    λ = 1 with V = 0 is the Monte-Carlo return, λ = 0 the one-step TD target, λ-return − V the GAE(λ) advantage.
    At the last row there is no G_{t+1}: λ_{T−1} must be 0, or V(S_T) is used in its place.

    Args:
        rewards: R_{t+1}, [T, B].
        next_values: V(S_{t+1}), [T, B].
        discounts: γ_t, the discount; 0 where the episode terminated, [T, B].
        lambdas: λ_t; 0 where the episode was truncated, [T, B].

    Reference: Sutton & Barto (2018), section 12.8; Schulman et al. (2016).
    """
    returns = rewards + discounts * (1 - lambdas) * next_values
    carried = discounts * lambdas
    returns[-1] += carried[-1] * next_values[-1]
    return backward_recurrence(returns, carried)


def step_discounts(terminated: Tensor, discount: float | Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return γ_t = γ (1 − terminated_t), [T, B], for one γ, or that of each column, [B]."""
    return discount * (~terminated).to(dtype)


def step_lambdas(truncated: Tensor, lambda_: float | Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return λ_t = λ, or 0 at truncations and in the last row, [T, B], for one λ, or that of each column, [B]."""
    lambdas = lambda_ * (~truncated).to(dtype)
    lambdas[-1] = 0
    return lambdas


def reward_to_go(rewards: Tensor, terminated: Tensor, truncated: Tensor, discount: float | Tensor) -> Tensor:
    """Return G_t = Σ_{k≥t} γ^{k−t} R_{k+1} to the end of the episode, [T, B].

    A truncated episode counts as ended: without a value function there is no estimate of the rewards after the cut.
    """
    return bootstrapped_returns(rewards, torch.zeros_like(rewards), terminated, truncated, discount, 1.0)


def whole_returns(
    rewards: Tensor, terminated: Tensor, truncated: Tensor, episode_starts: Tensor, discount: float | Tensor
) -> Tensor:
    """Return G_0 = Σ_k γ^k R_{k+1} of the whole episode at each of its rows, [T, B].

    Rows before a column's first start belong to an episode that began earlier: they get the return from row 0.
    """
    to_go = reward_to_go(rewards, terminated, truncated, discount)
    row = torch.arange(rewards.shape[0], device=rewards.device)[:, None]
    first = torch.where(episode_starts, row, 0).cummax(0).values  # the row at which each row's episode began
    return to_go.gather(0, first)


def standardize(
    values: Tensor, mask: Tensor, epsilon: float = 1e-8, *, correction: int = 0, less: Tensor | None = None
) -> Tensor:
    """Return (x − mean) / (std + ε) over the rows where mask is True, 0 elsewhere, […, T, B].

    The standard deviation divides by n − `correction`. The result is 0 for a single valid row and for rows that are
    equal up to rounding (see `centre` for `less`).
    """
    centred, std = centre(values, mask, correction, less)
    return centred / (std + epsilon)


def centre(values: Tensor, mask: Tensor, correction: int = 0, less: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return x − mean over the rows where mask is True, 0 elsewhere, […, T, B], and the standard deviation, […, 1, 1].

    The standard deviation divides by n − `correction`. Where the deviations are no larger than rounding, both are 0.

    Args:
        values: x, […, T, B].
        mask: the valid rows, […, T, B].
        correction: 0 or 1.
        less: the subtrahend, if x is a difference: x then has rounding errors in the subtrahend's precision too.
    """
    count, valid = mask.sum((-2, -1), keepdim=True).clamp(min=1), values * mask
    mean = valid.double().sum((-2, -1), keepdim=True) / count
    centred = (values - mean) * mask
    std = (centred.square().sum((-2, -1), keepdim=True) / (count - correction).clamp(min=1)).sqrt()
    units = precision(valid) if mask.ndim == 2 else precision_of_each(valid)
    varies = std > units * valid.abs().amax((-2, -1), keepdim=True)
    if less is not None:
        varies &= _beyond_rounding(centred, (valid.abs() + less.abs()) * torch.finfo(less.dtype).eps, mask)
    return (centred * varies).to(values.dtype), (std * varies).to(values.dtype)


def _beyond_rounding(centred: Tensor, unit: Tensor, mask: Tensor) -> Tensor:
    """Return whether the root mean square of deviations, each in units of its row's rounding, is above 1, […, 1, 1].

    Each row has its own unit, so that a row of large numbers does not hide the deviations of the others.
    """
    tiny = torch.finfo(unit.dtype).tiny
    return ((centred / unit.clamp(min=tiny)).square() * mask).sum((-2, -1), keepdim=True) > mask.sum(
        (-2, -1), keepdim=True
    )


def rounding(values: Tensor, dim: tuple[int, ...]) -> Tensor:
    """Return the largest difference that rounding may cause between equal numbers, given the largest of `values`."""
    return precision(values) * values.abs().amax(dim, keepdim=True)


def precision(values: Tensor) -> float:
    """Return the largest relative difference that rounding may cause between equal numbers.

    It is 4 ε for float32, and 2⁻³⁸ for float64, which covers sums of many thousands of terms in any order. Fractions
    in float64 that float32 holds exactly were rounded to float32: ε of float32.
    """
    if values.dtype != torch.float64:
        return 4 * torch.finfo(values.dtype).eps
    rounded = torch.equal(values.float().double(), values) and not torch.equal(values.round(), values)
    return torch.finfo(torch.float32).eps if rounded else 2.0**-38


def precision_of_each(values: Tensor) -> Tensor:
    """Return `precision` of each learner's values, [L, 1, 1], for values […, L, T, b]."""
    each = values.movedim(-3, 0).flatten(1)
    if values.dtype != torch.float64:
        return torch.full((len(each), 1, 1), precision(values), device=values.device)
    rounded = (each.float().double() == each).all(1) & (each.round() != each).any(1)
    return torch.where(rounded, torch.finfo(torch.float32).eps, 2.0**-38)[:, None, None]


def mean_by_time(values: Tensor, times: Tensor, mask: Tensor, num_episodes: int | Tensor) -> Tensor:
    """Return at each row the mean over episodes of `values` at the same time within the episode, [T, B].

        b(t) = (1/n) Σ_i G_t^{(i)},   G_t^{(i)} = 0 for an episode that has ended before t

    As a baseline it contains the sample itself, which scales the expected gradient by (n − 1)/n.
    """
    sums = torch.zeros(int(times.max()) + 1, dtype=values.dtype, device=values.device)
    sums.index_add_(0, times[mask], values[mask])
    return (sums / num_episodes)[times]


def explained_variance(predictions: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """Return 1 − Var[targets − predictions] / Var[targets] over valid rows: 1 is perfect, 0 as good as a constant.

    NaN where the targets vary by no more than rounding of the targets or of the predictions.
    """
    total, left = centre(torch.stack([targets, targets - predictions]), mask, less=predictions)[1][..., 0, 0]
    return torch.where(total > 0, 1 - (left / total).square(), torch.nan)


def bootstrapped_returns(
    rewards: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    discount: float | Tensor,
    lambda_: float | Tensor,
) -> Tensor:
    """Return the λ-returns of a rollout, [T, B], which are `gae` + V(S_t); the arguments are those of `gae`."""
    discounts = step_discounts(terminated, discount, rewards.dtype)
    if len(rewards) == 1:  # the return of a single step, whatever λ
        return rewards + discounts * next_values
    return lambda_returns(rewards, next_values, discounts, step_lambdas(truncated, lambda_, rewards.dtype))


def gae(
    rewards: Tensor,
    values: Tensor,
    next_values: Tensor,
    terminated: Tensor,
    truncated: Tensor,
    discount: float | Tensor,
    lambda_: float | Tensor,
) -> Tensor:
    """Return the generalised advantage estimates: the λ-return minus V(S_t), [T, B].

        Â_t = Σ_k (γλ)^k δ_{t+k},   δ_t = R_{t+1} + γ V(S_{t+1}) − V(S_t)

    λ = 0 is the TD residual, λ = 1 the return minus V(S_t). With V = V_π the expected policy gradient is exact for
    every λ, with another V only for λ = 1 on whole episodes.

    Args:
        rewards: R_{t+1}, [T, B].
        values: V(S_t), [T, B].
        next_values: V(S_{t+1}), [T, B].
        terminated: where the next state's value is 0, [T, B].
        truncated: where the episode was cut, [T, B].
        discount: γ, or that of each column, [B].
        lambda_: λ, or that of each column, [B].

    Reference: Schulman et al. (2016), equation 16.
    """
    return bootstrapped_returns(rewards, next_values, terminated, truncated, discount, lambda_) - values
