"""Losses as pure functions of arrays [T, B]: one term per row, which the agent weights and sums."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import mse_loss, softplus

from pg_agents.data.learners import by_learner, is_zero, of_columns

Aggregation = Literal["token-mean", "sequence-mean", "constant-length"]


def policy_gradient(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Return −Ψ_t ln π(A_t|S_t), whose gradient is minus the policy-gradient estimate, [T, B].

    No gradient flows through the advantages.

    Reference: Williams (1992); Schulman et al. (2016), equation 1.
    """
    return -advantages.detach() * log_probs


def squared_error(values: Tensor, targets: Tensor) -> Tensor:
    """Return ½ (V(S_t) − G_t)², [T, B]; no gradient flows through the targets (a semi-gradient if they bootstrap).

    Reference: Sutton & Barto (2018), section 9.3.
    """
    return 0.5 * mse_loss(values, targets.detach(), reduction="none")


def preference_loss(preferred: Tensor, other: Tensor) -> Tensor:
    """Return −ln σ(r(x, y⁺) − r(x, y⁻)), [N], for the rewards of the preferred answer y⁺ and of the other, y⁻.

    Reference: Bradley & Terry (1952); Christiano et al. (2017).
    """
    return softplus(other - preferred)


def plus(terms: Tensor, more: Tensor, weight: float | Tensor) -> Tensor:
    """Return terms + weight · more, [T, B], for one weight, or one for each column, [B]."""
    return terms + weight * more if isinstance(weight, Tensor) else torch.add(terms, more, alpha=weight)


def with_entropy(terms: Tensor, entropy: Tensor, weight: float | Tensor) -> Tensor:
    """Return terms − η H, [T, B], an entropy bonus; the terms unchanged if the weight η is 0."""
    return terms if is_zero(weight) else plus(terms, entropy, -weight)


def mean_over_episodes(mask: Tensor, num_learners: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return weights that sum a term over each episode's steps and average over the B episodes, [T, B].

    A column is an episode, unless it has no valid row. The average is over the episodes of each learner.
    """
    if num_learners == 1:
        return mask.to(dtype) / mask.any(0).sum().clamp(min=1)
    return mask.to(dtype) / _sum_of_learner(mask.any(0), num_learners)


def mean_over_steps(mask: Tensor, num_learners: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return weights that average a term over all valid steps, [T, B], of each learner."""
    total = mask.sum().clamp(min=1) if num_learners == 1 else _sum_of_learner(mask.sum(0), num_learners)
    return mask.to(dtype) / total


def _sum_of_learner(counts: Tensor, num_learners: int) -> Tensor:
    """Return for each of B columns the sum of its learner's counts [B], at least 1."""
    return of_columns(by_learner(counts, num_learners).sum(-1).clamp(min=1), len(counts))


def aggregation_weights(
    how: Aggregation, mask: Tensor, length: int, dtype: torch.dtype = torch.float32, num_learners: int = 1
) -> Tensor:
    """Return the weights of the steps of B episodes in a loss, [T, B]; a column is an episode.

    | how | Σ weights · term | |
    |---|---|---|
    | token-mean | Σ_i Σ_t term / Σ_i T_i | all steps weigh the same (DAPO) |
    | sequence-mean | (1/B) Σ_i (1/T_i) Σ_t term | all episodes weigh the same (GRPO) |
    | constant-length | (1/B) Σ_i (1/L) Σ_t term | L is `length`, a constant (Dr. GRPO) |

    Only constant-length keeps the direction of the expected policy gradient, since T_i depends on the actions. Of
    several learners each has such weights.

    Reference: Shao et al. (2024); Yu et al. (2025); Liu et al. (2025).
    """
    if how == "token-mean":
        return mean_over_steps(mask, num_learners, dtype)
    lengths = mask.sum(0).clamp(min=1) if how == "sequence-mean" else length
    return mean_over_episodes(mask, num_learners, dtype) / lengths


def kl_term(log_probs: Tensor, reference: Tensor, form: Literal["k1", "k2", "k3"]) -> Tensor:
    """Return terms whose means estimate KL(π‖π_ref), [T, B], from x = ln π(A_t|S_t) − ln π_ref(A_t|S_t).

    | form | term | expected gradient of the term in a loss |
    |---|---|---|
    | k1 | x | zero |
    | k2 | ½ x² | gradient of KL(π‖π_ref) in each state, with the distribution of states held fixed |
    | k3 | e^{−x} − 1 + x | gradient of KL(π_ref‖π) in each state, with the distribution of states held fixed |

    The expected value is KL(π‖π_ref) for k1 and k3, and to second order for k2. None has the gradient of the KL of
    whole episodes, as the effect of an action on later states is left out; subtracting β x from rewards has it. For
    texts of up to three tokens the cosine with that gradient is 0 for k1, 0.91 for k2 and 0.84 for k3 on average, at
    worst 0.43 for k2 and −0.31 for k3 (`python -m benchmarks run objectives`).

    Reference: Schulman, "Approximating KL divergence", 2020.
    """
    x = log_probs - reference.detach()
    return {"k1": x, "k2": 0.5 * x.square(), "k3": torch.expm1(-x) + x}[form]


def clipped_surrogate(
    log_ratio: Tensor, advantages: Tensor, clip: float | Tensor, clip_high: float | Tensor | None = None
) -> Tensor:
    """Return −min(ρ_t Â_t, clip(ρ_t, 1 − ε, 1 + ε_high) Â_t), [T, B], where ρ_t = π_θ(A_t|S_t) / π_old(A_t|S_t).

    Its gradient is 0 where the ratio has left the interval in the direction that the advantage favours. At ρ = 1 its
    gradient is that of `policy_gradient`.

    Args:
        log_ratio: ln ρ_t, [T, B].
        advantages: Â_t, [T, B]; no gradient flows through them.
        clip: ε, or that of each column, [B].
        clip_high: ε_high, or that of each column, [B]; None: ε.

    Reference: Schulman et al. (2017), equation 7; Yu et al. (2025), DAPO, for ε_high.
    """
    ratio, advantages = log_ratio.exp(), advantages.detach()
    low, high = 1 - clip, 1 + (clip if clip_high is None else clip_high)
    if isinstance(low, Tensor) or isinstance(high, Tensor):
        low, high = torch.as_tensor(low).to(ratio), torch.as_tensor(high).to(ratio)
    clipped = ratio.detach().clamp(low, high)  # type: ignore[arg-type] # both of a kind
    smaller = ratio.detach() * advantages <= clipped * advantages
    return -advantages * torch.where(smaller, ratio, clipped)


def ratio_metrics(
    log_ratio: Tensor, clip: float | Tensor, clip_high: float | Tensor | None = None
) -> dict[str, Tensor]:
    """Return the metrics `kl` and `clip_fraction` of how far π_θ has moved from π_old, as terms [T, B] to average.

    `kl` estimates KL(π_old‖π_θ) by ρ − 1 − ln ρ. `clip_fraction` is the share of rows whose ratio is outside
    1 − ε … 1 + ε_high, whatever the sign of their advantage.

    Args:
        log_ratio: ln ρ_t, [T, B].
        clip: ε, or that of each column, [B].
        clip_high: ε_high, or that of each column, [B]; None: ε.

    Reference: Schulman, "Approximating KL divergence", 2020.
    """
    log_ratio = log_ratio.detach()
    excess = log_ratio.expm1()
    outside = excess.abs() > clip if clip_high is None else (excess < -clip) | (excess > clip_high)
    return {"kl": excess - log_ratio, "clip_fraction": outside}
