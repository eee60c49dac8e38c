"""Estimators of the gradient of the average reward, on windows of a stationary process."""

from __future__ import annotations

import torch
from torch import Tensor

from pg_agents.agents import AverageReward
from pg_agents.functional.losses import mean_over_steps
from pg_agents.functional.returns import reward_to_go
from pg_agents.gradients.estimators import Estimator, Learner, Setting, always, from_psi, never
from pg_agents.gradients.psi import LAMBDA, gae_of, of_actions
from pg_agents.policies import TabularActionCritic


def _over_steps(mask: Tensor) -> Tensor:
    return mean_over_steps(mask, dtype=torch.float64)


def _gain(setting: Setting) -> float:
    return float(setting.solution.objective)


def _actor_critic(setting: Setting, action_values: Tensor) -> Learner:
    """Return the average-reward actor-critic's learner with Q_ψ = `action_values` [S, A]."""
    critic = TabularActionCritic(*action_values.shape).double()
    with torch.no_grad():
        critic.values.copy_(action_values)
    agent = AverageReward(policy=setting.policy(), critic=critic)
    return Learner(lambda rollout: agent.prepared(rollout)[0], agent)


AVERAGE = (
    Estimator("actor-critic, exact Q", lambda s: _actor_critic(s, s.solution.action_values), always),
    Estimator("actor-critic, half of Q", lambda s: _actor_critic(s, s.solution.action_values / 2), never),
    from_psi("exact Q", lambda s, r: of_actions(s, r, s.solution.action_values), weights=_over_steps),
    from_psi("exact advantage", lambda s, r: of_actions(s, r, s.solution.advantages), weights=_over_steps),
    from_psi("TD residual, exact V", lambda s, r: gae_of(s, r, s.solution.values, 0.0, _gain(s)), weights=_over_steps),
    from_psi("TD residual, half of V", lambda s, r: gae_of(s, r, s.learned, 0.0, _gain(s)), never, weights=_over_steps),
    from_psi("GAE(0.9), exact V", lambda s, r: gae_of(s, r, s.solution.values, LAMBDA, _gain(s)), weights=_over_steps),
    from_psi("GAE(0.9), half of V", lambda s, r: gae_of(s, r, s.learned, LAMBDA, _gain(s)), never, weights=_over_steps),
    from_psi(
        "reward − gain, to the window's end",
        lambda s, r: reward_to_go(r.rewards - _gain(s), r.terminated, r.truncated, 1.0),
        never,
        weights=_over_steps,
    ),
)
