"""The actor-critic with TD value."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.advantages import fit, state_values, time_weights
from pg_agents.agents.common.cadence_config import StepsConfig
from pg_agents.agents.common.config import CriticConfig, PolicyGradientConfig
from pg_agents.configuration import Count, Each, Positive, Scheduled
from pg_agents.data.learners import of_each
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.functional.losses import mean_over_steps, policy_gradient, squared_error
from pg_agents.functional.returns import bootstrapped_returns, standardize
from pg_agents.policies import GRUPolicy, ImageEncoder, TabularPolicy, TransformerPolicy
from pg_agents.search import OnOrOff


@dataclass(frozen=True, kw_only=True)
class ActorCriticConfig(StepsConfig, CriticConfig, PolicyGradientConfig):
    """The options of the actor-critic with TD value."""

    num_steps: Count | None = 1
    learning_rate: Each[Scheduled[Positive]] = 3e-4
    critic_learning_rate: Each[Scheduled[Positive]] | None = 1e-3
    discounted_time: bool = False
    """Weight the update at time t of an episode by γ^t, as in the gradient of the discounted return."""
    normalize_advantages: OnOrOff = False
    """Standardise δ over the batch (mean 0, standard deviation 1)."""


class ActorCritic(Agent[ActorCriticConfig]):
    """Actor-critic with TD value: reinforce with the temporal difference, as soon as the next state is known.

        δ_t = R_{t+1} + γ V_ψ(S_{t+1}) − V_ψ(S_t)
        θ ← θ + α δ_t ∇ ln π_θ(A_t|S_t),   ψ ← ψ + β δ_t ∇ V_ψ(S_t)

    averaged over the environments. With num_steps = n > 1 an update uses n steps of each environment, and R_{t+1} + γ V
    becomes the longest return that they contain: n steps for the first, one for the last. After a termination V is 0;
    after a truncation V of the final observation estimates the rewards cut off. With a learned V the expected update
    is not exactly a gradient of the return.

    Reference: Sutton & Barto (2018), section 13.5; Mnih et al. (2016) for n steps.
    """

    name = "actor-critic"
    policy_defaults = {
        TabularPolicy: {"learning_rate": 0.01, "critic_learning_rate": 0.1},
        TransformerPolicy: {"learning_rate": 1e-3, "critic_learning_rate": 3e-3},
        GRUPolicy: {"num_steps": 32, "learning_rate": 3e-3, "critic_learning_rate": 3e-3},
        ImageEncoder: {"num_steps": 16, "learning_rate": 3e-3, "critic_learning_rate": 3e-3},
    }

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute the bootstrapped returns and δ."""
        values, next_values = state_values(self.critic, rollout)
        ends, discount = (rollout.terminated, rollout.truncated), self.current("discount", rollout)
        targets = bootstrapped_returns(rollout.rewards, next_values, *ends, discount, 1.0)
        advantages = targets - values
        if self.config.normalize_advantages:
            advantages = of_each(standardize, rollout.num_learners, advantages, rollout.mask, less=values)
        if self.config.discounted_time:
            advantages = time_weights(rollout, discount) * advantages
        weights = mean_over_steps(rollout.mask, rollout.num_learners, rollout.rewards.dtype)
        batch = Batch.of(rollout, advantages=advantages, weights=weights, targets=targets)
        return batch, fit(values, targets, rollout)

    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −δ_t ln π(A_t|S_t) − η H(π(·|S_t)) + β k_t + ½ (V(S_t) − G_t)², averaged over steps."""
        policy, values = self.outputs(batch)
        log_probs = policy.log_prob(batch.actions)
        terms, errors = policy_gradient(log_probs, batch.advantages), squared_error(values, batch.targets)
        return self.regularized(batch, terms + errors, policy, log_probs, policy_loss=terms, value_loss=errors)
