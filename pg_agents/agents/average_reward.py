"""The actor-critic for tasks that never end: its objective is the average reward per step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.config import CriticConfig, GradientConfig
from pg_agents.agents.common.overlap import continued, steps_of
from pg_agents.configuration import Finite, Positive, Scheduled
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout, StepCadence
from pg_agents.distributions import probabilities_of
from pg_agents.functional.losses import mean_over_steps, policy_gradient, squared_error
from pg_agents.policies import TabularPolicy


@dataclass(frozen=True, kw_only=True)
class AverageRewardConfig(CriticConfig, GradientConfig):
    """The options of the average-reward actor-critic; equations 24 and 26 are those with optimizer="sgd"."""

    learning_rate: Scheduled[Positive] = 3e-4
    critic_learning_rate: Scheduled[Positive] | None = 1e-3
    gain_learning_rate: Positive | None = None
    """β_λ: step size of the estimated gain; None: that of the critic."""
    initial_gain: Finite = 0.0
    """λ_0. One above all rewards makes what was tried look poor beside what was not: it explores."""

    @property
    def cadence(self) -> StepCadence:
        """One step of each environment, which is learned from when the next action is known."""
        return StepCadence(1, overlap=1)


class AverageReward(Agent[AverageRewardConfig]):
    """Average-reward actor-critic: learn in a task that never ends, from every step of it.

        θ ← θ + α [Q_ψ(S_t,A_t) − Σ_a π_θ(a|S_t) Q_ψ(S_t,a)] ∇ ln π_θ(A_t|S_t)     (24)
        d = R_{t+1} − λ + Q_ψ(S_{t+1},A_{t+1}) − Q_ψ(S_t,A_t)                        (25)
        ψ ← ψ + β d ∇ Q_ψ(S_t,A_t),   λ ← λ + β_λ d                                  (26, 27)

    averaged over the environments; all right-hand sides are of the parameters before the update. λ estimates the gain:
    with a constant β_λ it stays near it, and its mean over time is closer. Where an episode was truncated no action was
    taken in what followed: that step is left out. A termination is an error (ValueError), as tasks are endless.

    Reference: Konda & Tsitsiklis (2000); Van Roy's lecture note, section 2.4.
    """

    name = "average-reward"
    action_values: ClassVar[bool] = True
    continuing: ClassVar[bool] = True
    policy_defaults = {
        TabularPolicy: {
            "learning_rate": 0.01, "critic_learning_rate": 0.05, "gain_learning_rate": 0.003, "initial_gain": 1.0,
        }
    }  # fmt: skip
    gain: Tensor

    def __init__(self, **given: Any) -> None:  # noqa: ANN401
        super().__init__(**given)
        gain = torch.full((self.policy.num_learners,), float(self.config.initial_gain), dtype=torch.float64)
        self.register_buffer("gain", gain)

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute the advantages and R_{t+1} − λ + Q(S_{t+1},A_{t+1}) of all rows [T, B] but the last, [T − 1, B].

        The metric `differences` is the mean d of each learner, [L].
        """
        if bool((rollout.terminated & rollout.mask).any()):
            raise ValueError(
                "env: an episode terminated, but average-reward learns in tasks that never do; take another agent "
                "(actor-critic), or let the environment go on from its first state instead of terminating"
            )
        values = self.values(rollout)  # [T, B, A]
        taken = values.gather(-1, rollout.actions[..., None]).squeeze(-1)  # [T, B]
        advantages = taken - (probabilities_of(self.distribution(rollout)) * values).sum(-1)
        rows = steps_of(rollout, slice(-1))
        weights = mean_over_steps(continued(rollout), self.policy.num_learners, taken.dtype)
        targets = rows.rewards - self.gain + taken[1:]
        differences = (weights * (targets - taken[:-1])).sum(0)  # [B]
        mean = differences if self.policy.num_learners > 1 else differences.sum(0, keepdim=True)
        return Batch.of(rows, advantages=advantages[:-1], weights=weights, targets=targets), {"differences": mean}

    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −[Q − Σ_a π Q] ln π(A_t|S_t) − η H(π(·|S_t)) + ½ d², averaged over the environments."""
        policy, taken = self.distribution(batch), self.values(batch).gather(-1, batch.actions[..., None]).squeeze(-1)
        log_probs = policy.log_prob(batch.actions)
        terms, errors = policy_gradient(log_probs, batch.advantages), squared_error(taken, batch.targets)
        return self.regularized(batch, terms + errors, policy, log_probs, policy_loss=terms, value_loss=errors)

    def finish(self, metrics: Metrics) -> Metrics:
        """λ ← λ + β_λ d, where a step was learned from."""
        differences = metrics.pop("differences")
        if not metrics:
            return {}
        rate = self.config.gain_learning_rate or self.current("critic_learning_rate") or self.current("learning_rate")
        self.gain += rate * differences
        return metrics | {"temporal_difference": differences.mean(), "gain": self.gain.mean()}
