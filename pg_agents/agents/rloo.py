"""REINFORCE leave-one-out."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.cadence_config import GroupsConfig
from pg_agents.agents.common.config import PolicyGradientConfig
from pg_agents.agents.common.groups import compared, returns_of_columns
from pg_agents.configuration import Each, UnitInterval
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.functional.comparisons import leave_one_out
from pg_agents.functional.losses import mean_over_episodes, policy_gradient
from pg_agents.policies import ImageEncoder, TabularPolicy, TransformerPolicy


@dataclass(frozen=True, kw_only=True)
class RLOOConfig(GroupsConfig, PolicyGradientConfig):
    """The options of RLOO."""

    discount: Each[UnitInterval] = 1.0


class RLOO(Agent[RLOOConfig]):
    """REINFORCE leave-one-out: compare an episode with the mean of the others that began in the same state.

        ∇J ≈ (1/n) Σ_i [R_i − (1/(G − 1)) Σ_{j≠i} R_j] Σ_t ∇ ln π_θ(A_t^i|S_t^i),   R_i = Σ_t γ^t R_{t+1}^i

    with n episodes in groups of G. The estimate is unbiased: the others' actions are drawn independently of an
    episode's own, even if a group shares its initial state and the noise of its dynamics. Each rollout gives one
    gradient step. A truncated episode ends there: nothing estimates the rewards cut off. A KL penalty in the reward is
    not part of R_i: the divergence from t on is compared with that of the others and subtracted.

    Reference: Kool, van Hoof & Welling (2019); Ahmadian et al. (2024).
    """

    name = "rloo"
    policy_defaults = {
        TabularPolicy: {"learning_rate": 0.1},
        TransformerPolicy: {"learning_rate": 1e-3},
        ImageEncoder: {"learning_rate": 1e-3},
    }

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute R_i minus the mean of the others in its group, minus the KL penalty from each step on."""
        relative = compared(leave_one_out, rollout, returns_of_columns(rollout, self.current("discount", rollout)))
        advantages = relative.expand_as(rollout.rewards) - self.kl_to_go(rollout)
        weights = mean_over_episodes(rollout.mask, rollout.num_learners, rollout.rewards.dtype)
        return Batch.of(rollout, advantages=advantages, weights=weights), {}

    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −Σ_t [A_i ln π(A_t|S_t) + η H(π(·|S_t)) − β k_t], averaged over episodes."""
        policy = self.distribution(batch)
        log_probs = policy.log_prob(batch.actions)
        terms = policy_gradient(log_probs, batch.advantages)
        return self.regularized(batch, terms, policy, log_probs, policy_loss=terms)
