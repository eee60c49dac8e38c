"""The actor-critic for tasks that never end: its objective is the average reward per step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.cadence_config import EveryStepConfig
from pg_agents.agents.common.config import CriticConfig, GradientConfig
from pg_agents.agents.common.overlap import continued, refuse_terminations, steps_of
from pg_agents.configuration import Each, Finite, Fixed, Positive, Scheduled
from pg_agents.data.learners import by_learner, of_columns
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.distributions import probabilities_of
from pg_agents.functional.losses import mean_over_steps, policy_gradient, squared_error
from pg_agents.policies import TabularPolicy

FOR_TABLES = {"learning_rate": 0.01, "critic_learning_rate": 0.05, "gain_learning_rate": 0.003, "initial_gain": 1.0}


@dataclass(frozen=True, kw_only=True)
class AverageRewardConfig(EveryStepConfig, CriticConfig, GradientConfig):
    """The options of the average-reward actor-critic; with optimizer="sgd" it is equations 24 and 26."""

    learning_rate: Each[Scheduled[Positive]] = 3e-4
    critic_learning_rate: Each[Scheduled[Positive]] | None = 1e-3
    gain_learning_rate: Each[Positive] | None = None
    """β_λ: step size of the estimated gain; None: as the critic's."""
    initial_gain: Fixed[Each[Finite]] = 0.0
    """λ_0: initial estimate of the gain. Above all rewards, it makes tried actions look worse than untried ones."""


class AverageReward(Agent[AverageRewardConfig]):
    """Average-reward actor-critic: learn from every step of a task that never ends.

        θ ← θ + α [Q_ψ(S_t,A_t) − Σ_a π_θ(a|S_t) Q_ψ(S_t,a)] ∇ ln π_θ(A_t|S_t)     (24)
        d = R_{t+1} − λ + Q_ψ(S_{t+1},A_{t+1}) − Q_ψ(S_t,A_t)                        (25)
        ψ ← ψ + β d ∇ Q_ψ(S_t,A_t),   λ ← λ + β_λ d                                  (26, 27)

    averaged over the environments; all right-hand sides use the parameters before the update. λ estimates the gain.
    Truncated steps are left out, since no action follows them; a termination is a ValueError.

    Reference: Konda & Tsitsiklis (2000); Van Roy's lecture note, section 2.4.
    """

    name = "average-reward"
    action_values = True
    continuing = True
    policy_defaults = {TabularPolicy: FOR_TABLES}
    gain: Tensor

    def __init__(self, **given: Any) -> None:  # noqa: ANN401
        super().__init__(**given)
        gain = torch.as_tensor(self.current("initial_gain"), dtype=torch.float64)
        self.register_buffer("gain", gain + torch.zeros(self.policy.num_learners, dtype=torch.float64))

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute Q − Σ_a π Q and R_{t+1} − λ + Q(S_{t+1},A_{t+1}), [T − 1, B], and each learner's mean d, [L]."""
        refuse_terminations(rollout)
        policy, values = self.outputs(rollout.mine)  # values: [T, B, A]
        taken = values.gather(-1, rollout.actions[..., None]).squeeze(-1)  # [T, B]
        advantages = rollout.whole(taken - (probabilities_of(policy) * values).sum(-1))
        taken = rollout.whole(taken)
        weights = mean_over_steps(continued(rollout), rollout.num_learners, taken.dtype)
        targets = rollout.rewards[:-1] - of_columns(self.gain, taken.shape[1]) + taken[1:]
        mean = by_learner((weights * (targets - taken[:-1])).sum(0), rollout.num_learners).sum(-1)
        batch = Batch.of(steps_of(rollout, slice(-1)), advantages=advantages[:-1], weights=weights, targets=targets)
        return batch, {"differences": mean}

    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −[Q − Σ_a π Q] ln π(A_t|S_t) − η H(π(·|S_t)) + ½ d², averaged over the environments."""
        policy, values = self.outputs(batch)
        log_probs, taken = policy.log_prob(batch.actions), values.gather(-1, batch.actions[..., None]).squeeze(-1)
        terms, errors = policy_gradient(log_probs, batch.advantages), squared_error(taken, batch.targets)
        return self.regularized(batch, terms + errors, policy, log_probs, policy_loss=terms, value_loss=errors)

    def finish(self, metrics: Metrics) -> Metrics:
        """λ ← λ + β_λ d, if there was a step to learn from."""
        if len(metrics) == 1:
            return {}
        differences = metrics.pop("differences")
        rates = map(self.current, ("gain_learning_rate", "critic_learning_rate", "learning_rate"))
        self.gain += next(rate for rate in rates if rate is not None) * differences
        found = {"temporal_difference": differences, "gain": self.gain.clone()}
        return metrics | (found if len(differences) > 1 else {name: value[0] for name, value in found.items()})
