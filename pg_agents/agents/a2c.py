"""Advantage actor-critic."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.advantages import generalized_advantages
from pg_agents.agents.common.cadence_config import StepsConfig
from pg_agents.agents.common.config import AdvantageActorCriticConfig
from pg_agents.agents.common.optimizers import OptimizerName
from pg_agents.configuration import Each, Fixed, Positive, PositiveOrInfinite, Scheduled
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.functional.losses import mean_over_steps, plus, policy_gradient, squared_error
from pg_agents.policies import GRUPolicy, TabularPolicy, TransformerPolicy


@dataclass(frozen=True, kw_only=True)
class A2CConfig(StepsConfig, AdvantageActorCriticConfig):
    """The options of A2C."""

    learning_rate: Each[Scheduled[Positive]] = 1.5e-3
    max_grad_norm: Each[PositiveOrInfinite] | None = 0.5
    optimizer: Fixed[OptimizerName] = "rmsprop"


class A2C(Agent[A2CConfig]):
    """Advantage actor-critic: one gradient step on a few steps of many environments that step together.

        θ ← θ + α E[Â_t ∇ ln π_θ(A_t|S_t) + η ∇ H(π_θ(·|S_t))],   ψ ← ψ − β c E[∇ ½ (V_ψ(S_t) − G_t)²]

    Â is the generalised advantage estimate over the rollout's steps, G = Â + V. The asynchronous original had 5 steps
    and λ = 1, the longest n-step return in the rollout; 16 steps and λ = 0.95 learn faster, in steps and in time.

    Reference: Mnih et al. (2016), whose synchronous form this is.
    """

    name = "a2c"
    policy_defaults = {
        TabularPolicy: {"learning_rate": 0.01, "critic_learning_rate": 0.03},
        TransformerPolicy: {"learning_rate": 1e-3},
        GRUPolicy: {"num_steps": 32, "learning_rate": 3e-3, "optimizer": "adam"},
    }

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute Â and G = Â + V."""
        returns = self.current("discount", rollout), self.current("gae_lambda", rollout)
        normalize = self.config.normalize_advantages
        advantages, targets, fit = generalized_advantages(self.critic, rollout, *returns, normalize=normalize)
        weights = mean_over_steps(rollout.mask, rollout.num_learners, rollout.rewards.dtype)
        return Batch.of(rollout, advantages=advantages, weights=weights, targets=targets), fit

    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −Â_t ln π(A_t|S_t) − η H(π(·|S_t)) + β k_t + c ½ (V(S_t) − G_t)², averaged over steps."""
        policy, values = self.outputs(batch)
        log_probs = policy.log_prob(batch.actions)
        terms, errors = policy_gradient(log_probs, batch.advantages), squared_error(values, batch.targets)
        both = plus(terms, errors, self.current("value_weight", batch))
        return self.regularized(batch, both, policy, log_probs, policy_loss=terms, value_loss=errors)
