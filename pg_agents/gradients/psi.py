"""Forms of Ψ along a rollout, and properties of a problem on which an estimator's bias depends."""

from __future__ import annotations

from torch import Tensor

from pg_agents.agents.common.advantages import state_values, time_weights
from pg_agents.data.rollout import Rollout
from pg_agents.functional.returns import gae, whole_returns
from pg_agents.gradients.estimators import Setting
from pg_agents.gradients.problem import Problem

LAMBDA = 0.9


def exact_without_discount(problem: Problem) -> bool:
    """Return whether leaving out γ^t keeps the expected gradient unchanged."""
    return problem.discount == 1 or problem.one_step


def exact_if_one_step(problem: Problem) -> bool:
    """Return whether every episode is one decision, so that no estimator bootstraps."""
    return problem.one_step


def gae_of(setting: Setting, rollout: Rollout, values: Tensor, lambda_: float, gain: float = 0.0) -> Tensor:
    """Return γ^t Â_t with V = `values` of the nodes; for the average reward without discount, of R − `gain`, [T, B]."""
    here, after = state_values(setting.critic(values), rollout)
    discount = 1.0 if setting.problem.average else setting.problem.discount
    advantages = gae(rollout.rewards - gain, here, after, rollout.terminated, rollout.truncated, discount, lambda_)
    return advantages if setting.problem.average else time_weights(rollout, discount) * advantages


def of_actions(setting: Setting, rollout: Rollout, table: Tensor) -> Tensor:
    """Return γ^t table[S_t, A_t]."""
    weights = 1.0 if setting.problem.average else time_weights(rollout, setting.problem.discount)
    return weights * table[rollout.observations, rollout.actions]


def whole_of(setting: Setting, rollout: Rollout) -> Tensor:
    """Return the discounted return of each episode, [B]."""
    ends = (rollout.terminated, rollout.truncated, rollout.episode_starts)
    return whole_returns(rollout.rewards, *ends, setting.problem.discount)[0]


def per_episode(scores: Tensor, rollout: Rollout) -> Tensor:
    """Return the number of each episode at all of its rows, [T, B]."""
    return scores.expand_as(rollout.rewards)
