"""REINFORCE."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.advantages import Signal, monte_carlo
from pg_agents.agents.common.cadence_config import EpisodesConfig
from pg_agents.agents.common.config import PolicyGradientConfig
from pg_agents.data.learners import of_each
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.functional.losses import mean_over_episodes, policy_gradient
from pg_agents.functional.returns import standardize
from pg_agents.policies import ImageEncoder, TabularPolicy, TransformerPolicy
from pg_agents.search import OnOrOff


@dataclass(frozen=True, kw_only=True)
class ReinforceConfig(EpisodesConfig, PolicyGradientConfig):
    """The options of REINFORCE."""

    signal: Signal = "reward-to-go"
    """Ψ_t: "reward-to-go" G_t, "discounted-reward-to-go" γ^t G_t, or "whole-return" G_0. The last two are unbiased for
    the discounted return, the first is the usual choice."""
    normalize_advantages: OnOrOff = False
    """Standardise Ψ over the batch (mean 0, standard deviation 1). Biased: cosine 0.99 with the gradient on average and
    0.94 at worst for batches of three texts (`python -m benchmarks run objectives`)."""


class Reinforce(Agent[ReinforceConfig]):
    """REINFORCE: follow the gradient of the expected return, estimated from whole episodes.

        θ ← θ + α (1/n) Σ_i Σ_t Ψ_t ∇ ln π_θ(A_t|S_t),   Ψ_t = G_t or γ^t G_t or G_0

    An update uses one episode of each environment. A truncated episode counts as if it had ended there: without a value
    function nothing estimates the rewards cut off, so that the time limit is part of the objective.

    Reference: Williams (1992); Sutton & Barto (2018), section 13.3.
    """

    name = "reinforce"
    policy_defaults = {
        TabularPolicy: {"learning_rate": 0.1},
        TransformerPolicy: {"learning_rate": 1e-3},
        ImageEncoder: {"learning_rate": 1e-3},
    }

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute Ψ."""
        returns, time_weights = monte_carlo(self.config.signal, rollout, self.current("discount", rollout))
        if self.config.normalize_advantages:
            returns = of_each(standardize, rollout.num_learners, returns, rollout.mask)
        weights = mean_over_episodes(rollout.mask, rollout.num_learners, rollout.rewards.dtype)
        return Batch.of(rollout, advantages=time_weights * returns, weights=weights), {}

    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −Σ_t [Ψ_t ln π(A_t|S_t) + η H(π(·|S_t)) − β k_t], averaged over episodes."""
        policy = self.distribution(batch)
        log_probs = policy.log_prob(batch.actions)
        terms = policy_gradient(log_probs, batch.advantages)
        return self.regularized(batch, terms, policy, log_probs, policy_loss=terms)
