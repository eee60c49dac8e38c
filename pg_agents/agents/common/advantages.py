"""Monte-Carlo returns and generalised advantage estimates of a rollout."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from pg_agents.data.later import LazyMetrics, postponed
from pg_agents.data.learners import of_each
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.data.shares import Ranks, gathered
from pg_agents.functional.returns import (
    bootstrapped_returns,
    centre,
    explained_variance,
    reward_to_go,
    standardize,
    whole_returns,
)
from pg_agents.policies import Critic

Signal = Literal["reward-to-go", "discounted-reward-to-go", "whole-return"]
NormalizedOver = Literal["rollout", "minibatch"]  # advantages


def monte_carlo(signal: Signal, rollout: Rollout, discount: float | Tensor) -> tuple[Tensor, Tensor]:
    """Return REINFORCE's returns and the weight of each step, [T, B] each.

    | signal | return | weight |
    |---|---|---|
    | whole-return | Σ_k γ^k R_{k+1}, of the whole episode | 1 |
    | discounted-reward-to-go | G_t = Σ_{k≥t} γ^{k−t} R_{k+1} | γ^t |
    | reward-to-go | G_t | 1 |

    The first two give the gradient of E Σ_t γ^t R_{t+1}. The third, in common use, leaves out γ^t: for γ < 1 it is the
    gradient of no objective in general.

    A truncated episode counts as if it had ended there: without a critic nothing estimates the rewards cut off.
    """
    record = (rollout.rewards, rollout.terminated, rollout.truncated)
    if signal == "whole-return":
        return whole_returns(*record, rollout.episode_starts, discount), torch.ones_like(rollout.rewards)
    discounted = signal == "discounted-reward-to-go"
    weights = time_weights(rollout, discount) if discounted else torch.ones_like(rollout.rewards)
    return reward_to_go(*record, discount), weights


def time_weights(rollout: Rollout, discount: float | Tensor) -> Tensor:
    """Return γ^t for each row's time t within its episode, [T, B], for one γ, or that of each column, [B]."""
    return discount ** rollout.times.to(rollout.rewards.dtype)


def state_values(critic: Critic, rollout: Rollout) -> tuple[Tensor, Tensor]:
    """Return V(S_t) and V(S_{t+1}), [T, B] each; at an episode's end the latter is of its true final observation.

    Where the episode terminated, V(S_{t+1}) has no meaning and must be multiplied by 0.
    """
    values, final_values = critic.of_rollout(rollout.mine)
    next_values = torch.zeros_like(values)
    if len(values) > 1:
        next_values[:-1] = values[1:]
    next_values.index_put_(rollout.final_rows.unbind(1), final_values)
    return rollout.whole(values), rollout.whole(next_values)


def _centred(advantages: Tensor, mask: Tensor, *, less: Tensor) -> Tensor:
    return centre(advantages, mask, less=less)[0]


def generalized_advantages(
    critic: Critic,
    rollout: Rollout,
    discount: float | Tensor,
    gae_lambda: float | Tensor,
    *,
    normalize: bool,
    at_once: bool = True,
) -> tuple[Tensor, Tensor, LazyMetrics]:
    """Return Â_t and the critic's targets Â_t + V(S_t), [T, B] each, and the metric `explained_variance`.

    Args:
        critic: V.
        rollout: T steps of B environments.
        discount: γ, or that of each column, [B].
        gae_lambda: λ, or that of each column, [B].
        normalize: standardise Â; the targets stay as they are.
        at_once: standardise over the rollout; False: only subtract the mean, for minibatches to be standardised.

    Reference: Schulman et al. (2016), equation 16.
    """
    values, next_values = state_values(critic, rollout)
    ends = rollout.terminated, rollout.truncated
    targets = bootstrapped_returns(rollout.rewards, next_values, *ends, discount, gae_lambda)
    advantages = targets - values
    if normalize:
        how = standardize if at_once else _centred
        advantages = of_each(how, rollout.num_learners, advantages, rollout.mask, less=values)
    return advantages, targets, fit(values, targets, rollout)


def standardized(batch: Batch) -> Batch:
    """Return a minibatch with Â standardised over its valid steps, each learner's apart; deviations are over n − 1."""
    if batch.share is not None:
        return _standardized_over_ranks(batch, batch.share.ranks)
    rows = (values.view(-1, batch.weights.shape[-1]) for values in (batch.advantages, batch.weights != 0))
    advantages = of_each(standardize, batch.num_learners, *rows, correction=1)
    return replace(batch, advantages=advantages.view(batch.weights.shape))


def _standardized_over_ranks(batch: Batch, ranks: Ranks) -> Batch:
    """Return one's own part of a minibatch, standardised over the parts of all ranks."""
    parts, valid = gathered(ranks, [batch.advantages.flatten(), (batch.weights != 0).flatten()])
    whole = standardize(torch.cat(parts)[None], torch.cat(valid)[None], correction=1)[0]
    return replace(batch, advantages=whole.split([*map(len, parts)])[ranks.number].view(batch.weights.shape))


def fit(values: Tensor, targets: Tensor, rollout: Rollout) -> LazyMetrics:
    """Return the metric `explained_variance`, the fraction of the variance of bootstrapped targets that V explains.

    NaN, which is not plotted, if all rewards are 0: the targets then consist of V alone.
    """
    arrays = values, targets, rollout.rewards, rollout.mask
    return LazyMetrics(explained_variance=postponed(_fit, rollout.num_learners, *arrays))


def _fit(values: Tensor, targets: Tensor, rewards: Tensor, mask: Tensor) -> Tensor:
    rewarded = (rewards != 0).flatten(-2).any(-1)
    return torch.where(rewarded, explained_variance(values, targets, mask), torch.nan)
