"""REINFORCE with a baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.advantages import Signal, monte_carlo
from pg_agents.agents.common.baselines import BaselineName, make_baseline
from pg_agents.agents.common.cadence_config import EpisodesConfig
from pg_agents.agents.common.config import CriticConfig, OnOrOff, PolicyGradientConfig
from pg_agents.configuration import Finite, Fixed
from pg_agents.data.later import LazyMetrics, postponed
from pg_agents.data.learners import of_each
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.functional.losses import mean_over_episodes, policy_gradient, squared_error
from pg_agents.functional.returns import explained_variance, standardize
from pg_agents.policies import ImageEncoder, TabularPolicy, TransformerPolicy


@dataclass(frozen=True, kw_only=True)
class ReinforceBaselineConfig(EpisodesConfig, CriticConfig, PolicyGradientConfig):
    """The options of REINFORCE with a baseline."""

    baseline: Fixed[BaselineName] = "value"
    """b: "value", V_ψ(S_t); "running-average", the mean of all earlier returns; "batch-mean", the mean of the batch's
    returns at the same time (it scales the expected gradient by (n − 1)/n, to 0 for n = 1); "constant"."""
    constant: Fixed[Finite] = 0.0
    """The value of a constant baseline."""
    signal: Signal = "reward-to-go"
    """The return: "reward-to-go" G_t, "discounted-reward-to-go" γ^t G_t, or "whole-return" G_0."""
    normalize_advantages: OnOrOff = False
    """Standardise G − b over the batch (mean 0, standard deviation 1)."""


class ReinforceBaseline(Agent[ReinforceBaselineConfig]):
    """REINFORCE with a baseline: reinforce by how much better than expected the return was.

        θ ← θ + α (1/n) Σ_i Σ_t (G_t − b) ∇ ln π_θ(A_t|S_t)

    A baseline that does not see the action leaves the expected gradient alone and, chosen well, lowers its variance.
    Episodes and truncation are treated as in `Reinforce`. Only with baseline="value" is there a critic, which regresses
    on the returns; "batch-mean" is refused for independent learners, which share no batch.

    Reference: Williams (1992); Sutton & Barto (2018), section 13.4.
    """

    name = "reinforce-baseline"
    policy_defaults = {
        TabularPolicy: {"learning_rate": 0.1},
        TransformerPolicy: {"learning_rate": 1e-3},
        ImageEncoder: {"learning_rate": 2e-3},
    }

    def __init__(self, **given: Any) -> None:  # noqa: ANN401
        super().__init__(**given)
        self.compare = make_baseline(self.config.baseline, self.config.constant, self.policy.num_learners)

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute G − b, and the critic's targets."""
        returns, time_weights = monte_carlo(self.config.signal, rollout, self.current("discount", rollout))
        baseline = rollout.whole(self.values(rollout.mine)) if self.compare is None else self.compare(rollout, returns)
        advantages = returns - baseline
        if self.config.normalize_advantages:
            advantages = of_each(standardize, rollout.num_learners, advantages, rollout.mask, less=baseline)
        weights = mean_over_episodes(rollout.mask, rollout.num_learners, rollout.rewards.dtype)
        batch = Batch.of(rollout, advantages=time_weights * advantages, weights=weights, targets=returns)
        if self.critic is None:
            return batch, {}
        explained = postponed(explained_variance, rollout.num_learners, baseline, returns, rollout.mask)
        return batch, LazyMetrics(explained_variance=explained)

    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return Σ_t [−(G_t − b) ln π(A_t|S_t) − η H(π(·|S_t)) + β k_t + ½ (V(S_t) − G_t)²], averaged over episodes."""
        policy, values = self.outputs(batch)
        log_probs = policy.log_prob(batch.actions)
        terms = policy_gradient(log_probs, batch.advantages)
        if values is None or batch.targets is None:
            return self.regularized(batch, terms, policy, log_probs, policy_loss=terms)
        errors = squared_error(values, batch.targets)
        return self.regularized(batch, terms + errors, policy, log_probs, policy_loss=terms, value_loss=errors)

    @classmethod
    def needs_critic(cls, config: ReinforceBaselineConfig) -> bool:
        """Return whether the baseline is a value function."""
        return config.baseline == "value"
