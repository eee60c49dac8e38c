"""Staying near a reference policy: the KL divergence from it, in the rewards or in the loss.

J(θ) = E Σ_t R_{t+1} − β KL(π_θ‖π_ref), of whole episodes: KL = E Σ_t x_t, x_t = ln π_θ(A_t|S_t) − ln π_ref(A_t|S_t).

| kl_penalty | change | expected gradient |
|---|---|---|
| reward | R_{t+1} − β x_t replaces R_{t+1}: an action is charged for all divergence after it | that of −β KL |
| k2-loss | adds β ½ x_t² to the loss of each step | biased: cosine 0.91 with the true one, 0.43 at worst |
| k3-loss | adds β (e^{−x_t} − 1 + x_t) to the loss of each step | biased: cosine 0.84, −0.31 at worst |

Under top-k and top-p a policy's probabilities are over the tokens that it keeps, and the reference also keeps the
sampled token: the divergence is then not between two fixed distributions, and its estimate may be negative.

The last two (`losses.kl_term`) ignore that an action also determines later states, and with them later divergence.
The cosines are means over 20 random policies that generate up to three tokens, by enumeration
(`python -m benchmarks run objectives`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from pg_agents.agents.common.advantages import time_weights
from pg_agents.agents.common.groups import compared
from pg_agents.data.learners import is_zero, of_each
from pg_agents.data.minibatches import columns_of
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout, StepCadence, TokenBlock
from pg_agents.functional.comparisons import leave_one_out
from pg_agents.functional.losses import kl_term
from pg_agents.functional.returns import reward_to_go
from pg_agents.policies import Policy

KLPenalty = Literal["reward", "k2-loss", "k3-loss"]


def make_reference(
    policy: Policy, reference: Policy | None, weight: object, cadence: StepCadence | EpisodeCadence
) -> Policy | None:
    """Return π_ref: the given one, or a frozen copy of the policy if `weight`, the option, is not 0.

    Raises:
        ValueError: a reference that is not frozen, has other actions, or has a memory though rollouts begin within
            episodes.
    """
    if reference is None:
        reference = policy.frozen_copy() if weight != 0 else None
    elif not isinstance(reference, Policy):
        raise TypeError(
            f"reference must be a Policy, got {reference!r}; a model becomes one by HuggingFacePolicy(model)"
        )
    elif any(parameter.requires_grad for parameter in reference.parameters()):
        raise ValueError(
            "reference must be frozen, got one whose parameters require gradients; reference.requires_grad_(False)"
        )
    if reference is None:
        return None
    mine, theirs = policy.outputs, reference.outputs
    if mine is not None and theirs is not None and mine != theirs:
        raise ValueError(f"reference must have the policy's actions: it has {theirs} outputs, the policy {mine}")
    if reference.num_learners not in (1, policy.num_learners):
        raise ValueError(
            f"reference has {reference.num_learners} learners, the policy {policy.num_learners}; give one with as many"
        )
    if reference.recurrent and isinstance(cadence, StepCadence):
        raise ValueError(
            f"reference: a {type(reference).__name__} has a memory, which is unknown where a rollout of steps begins; "
            "use an agent that learns from whole episodes"
        )
    return reference


@torch.no_grad()
def beside_reference(rollout: Rollout, reference: Policy | None, size: int | None) -> tuple[Rollout, dict[str, Tensor]]:
    """Return the rollout with ln π_ref of its actions, and the metric `kl_reference`.

    The metric is the mean of x_t over decisions, an estimate of KL(π‖π_ref) per decision; multiplied by the number of
    decisions in an episode it is the divergence of whole episodes. Without a reference the rollout is unchanged.

    Args:
        rollout: the rollout.
        reference: π_ref, or None.
        size: about how many decisions in texts to compute at once, to save memory; None: all.

    Raises:
        ValueError: the reference does not fit the observations and actions, or gives an action probability 0.
    """
    if reference is None:
        return rollout, {}
    try:
        parts = [
            reference(part.observations, None, part.episode_starts).log_prob(part.actions)
            for part in _parts(rollout.mine, size)
        ]
    except (IndexError, RuntimeError, TypeError) as error:
        raise ValueError(f"reference: it does not fit the observations and actions of the policy: {error}") from error
    log_probs = torch.where(rollout.mask, rollout.whole(torch.cat(parts, 1)), rollout.log_probs)
    log_probs = log_probs.to(rollout.rewards.dtype)
    if not log_probs.isfinite().all():
        raise ValueError("reference must give every action some probability, but a sampled action has 0")
    rollout = replace(rollout, reference_log_probs=log_probs)
    return rollout, {"kl_reference": of_each(_mean, rollout.num_learners, log_ratios(rollout), rollout.mask)}


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of values where mask is True, 0 elsewhere, […], for both […, T, B]."""
    return values.sum((-2, -1)) / mask.sum((-2, -1)).clamp(min=1)


def _parts(rollout: Rollout, size: int | None) -> list[Batch]:
    """Return texts in parts of about `size` decisions, in order; other rollouts as one part."""
    whole = Batch.of(rollout, advantages=rollout.rewards, weights=rollout.mask)
    if size is None or not isinstance(rollout.observations, TokenBlock):
        return [whole]
    count = min(rollout.mask.shape[1], -(-rollout.num_transitions // size))
    columns = torch.arange(rollout.mask.shape[1], device=rollout.mask.device).tensor_split(max(1, count))
    return [columns_of(whole, some) for some in columns]


def log_ratios(rollout: Rollout) -> Tensor:
    """Return x_t = ln π_old(A_t|S_t) − ln π_ref(A_t|S_t), [T, B]; 0 where no decision was taken.

    Also 0 for differences that may be rounding alone (64 ε of the log-probabilities' precision), which would otherwise
    be all that remains if a group's scores are equal and are standardised.
    """
    assert rollout.reference_log_probs is not None
    mine, reference = rollout.log_probs.to(rollout.rewards.dtype), rollout.reference_log_probs
    rounding = 64 * torch.finfo(rollout.log_probs.dtype).eps * (1 + torch.maximum(mine.abs(), reference.abs()))
    ratios = mine - reference
    return ratios * (rollout.mask & (ratios.abs() > rounding))


def penalized(rollout: Rollout, penalty: KLPenalty, weight: float | Tensor) -> Rollout:
    """Return the rollout with rewards R_{t+1} − β x_t if the penalty is in the rewards, else unchanged."""
    if penalty != "reward" or is_zero(weight):
        return rollout
    return replace(rollout, rewards=rollout.rewards - weight * log_ratios(rollout))


def penalty_to_go(
    rollout: Rollout, penalty: KLPenalty, weight: float | Tensor, discount: float | Tensor
) -> Tensor | float:
    """Return the KL penalty that is subtracted from compared episodes' advantages at each step, [T, B].

        β [K_t^i − (1/(G − 1)) Σ_{j≠i} K_t^j],   K_t = Σ_{k≥t} γ^k x_k

    Scores are compared without the penalty, or the standard deviation of a group of equal scores would be that of the
    penalty's noise. The mean over other episodes, which are drawn independently of A_t^i, is a baseline: it raises the
    variance near the reference, where K is nearly 0 on average, and lowers it where texts are long and K is a nat or
    more. An episode that has ended counts as 0.
    """
    if penalty != "reward" or is_zero(weight):
        return 0.0
    to_go = reward_to_go(log_ratios(rollout), rollout.terminated, rollout.truncated, discount)
    return weight * compared(leave_one_out, rollout, time_weights(rollout, discount) * to_go * rollout.mask)


def with_kl(loss: Tensor, log_probs: Tensor, batch: Batch, penalty: KLPenalty, weight: float | Tensor) -> Tensor:
    """Return the loss, plus Σ weights · β k(ln π_θ, ln π_ref) if the penalty is in the loss."""
    if penalty == "reward" or is_zero(weight):
        return loss
    assert batch.reference_log_probs is not None
    form: Literal["k2", "k3"] = "k2" if penalty == "k2-loss" else "k3"
    return loss + batch.sum(weight * kl_term(log_probs, batch.reference_log_probs, form))
