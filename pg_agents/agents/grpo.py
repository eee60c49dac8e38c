"""Group relative policy optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.cadence_config import GroupsConfig
from pg_agents.agents.common.config import ClipRange, MinibatchConfig, PolicyGradientConfig
from pg_agents.agents.common.groups import compared, returns_of_columns, share
from pg_agents.configuration import Count, Each, PositiveOrInfinite, Several, UnitInterval
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.functional.comparisons import Comparison, compare
from pg_agents.functional.losses import Aggregation, aggregation_weights, clipped_surrogate, ratio_metrics
from pg_agents.policies import ImageEncoder, TabularPolicy, TransformerPolicy


@dataclass(frozen=True, kw_only=True)
class GRPOConfig(GroupsConfig, MinibatchConfig, PolicyGradientConfig):
    """The options of GRPO."""

    epochs: Count = 4
    minibatch_size: Several | None = 256
    discount: Each[UnitInterval] = 1.0
    max_grad_norm: Each[PositiveOrInfinite] | None = 0.5
    advantage: Comparison = "standardized"
    """How returns are compared, after subtracting the group's mean: "standardized", divided by the group's standard
    deviation; "batch-standardized", divided by that of all n episodes' returns; "centred", not divided."""
    aggregation: Aggregation = "sequence-mean"
    """How the steps' terms are averaged: "sequence-mean", over each episode's steps, then over episodes; "token-mean",
    over all steps at once; "constant-length", as sequence-mean, but dividing by `max_episode_steps` (by default the
    length of the environment's longest episode) instead of an episode's own length."""
    clip: ClipRange = 0.2
    """ε: how far the probability ratio may fall below 1 before its gradient is cut off."""
    clip_high: Each[PositiveOrInfinite] | None = None
    """ε_high: how far the probability ratio may rise above 1; None: ε."""

    def check_together(self) -> None:
        """Raise ValueError if the constant length of an aggregation is missing."""
        super().check_together()
        if self.aggregation == "constant-length" and self.max_episode_steps is None:
            raise ValueError("aggregation='constant-length' needs max_episode_steps: give an episode's most steps")


class GRPO(Agent[GRPOConfig]):
    """Group relative policy optimisation: PPO's clipped objective without a critic, on comparisons within a group.

        L(θ) = (1/n) Σ_i (1/T_i) Σ_t min(ρ_t^i A_i, clip(ρ_t^i, 1 − ε, 1 + ε_high) A_i)
        A_i = (R_i − mean_j R_j) / (std_j R_j + 1e-4),   R_i = Σ_t γ^t R_{t+1}^i,   ρ_t = π_θ(A_t|S_t) / π_old(A_t|S_t)

    over n episodes, in groups of G that begin in the same state and are compared. A truncated episode ends there. The
    estimate is biased (figures in `agents.published`, also for Dr. GRPO, DAPO and others, which are options): the mean
    contains the episode itself, the deviation gives more weight to groups with similar returns, and 1/T_i favours
    short successes and long failures.

    A KL penalty in the reward is not part of R_i, whose deviation would be the penalty's noise if scores are equal; the
    divergence from t on is subtracted from A_i. Without penalty or entropy bonus, groups of equal returns are left out.

    Reference: Shao et al. (2024); Liu et al. (2025) for Dr. GRPO; Yu et al. (2025), DAPO, for "token-mean" and ε_high.
    """

    name = "grpo"
    policy_defaults = {
        TabularPolicy: {"learning_rate": 0.03}, TransformerPolicy: {"learning_rate": 1e-3},
        ImageEncoder: {"learning_rate": 3e-4},
    }  # fmt: skip

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute A_i, the same at every step of an episode, minus the KL penalty from that step on."""
        scores, mask = returns_of_columns(rollout, self.current("discount", rollout)), rollout.mask
        relative, std = compared(partial(compare, self.config.advantage), rollout, scores, mask.any(0))
        advantages = relative.expand_as(mask) - self.kl_to_go(rollout)
        length, learners = self.config.max_episode_steps or 1, rollout.num_learners
        weights = aggregation_weights(self.config.aggregation, mask, length, scores.dtype, learners)
        regularized = (self.current("kl_weight", rollout) != 0) | (self.current("entropy_weight", rollout) != 0)
        weights = weights * ((std > 0) | regularized)  # groups of equal returns have no gradient: they save time
        alike = 1 - share(std > 0, rollout)
        return Batch.of(rollout, advantages=advantages, weights=weights), {"zero_variance_groups": alike}

    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −min(ρA, clip(ρ)A) − η H(π(·|S_t)) + β k_t, averaged by `aggregation`."""
        policy, clips = self.distribution(batch), (self.current("clip", batch), self.current("clip_high", batch))
        log_probs = policy.log_prob(batch.actions)
        log_ratio = log_probs - batch.log_probs  # ln ρ, [T, B]
        terms = clipped_surrogate(log_ratio, batch.advantages, *clips)
        return self.regularized(batch, terms, policy, log_probs, policy_loss=terms, **ratio_metrics(log_ratio, *clips))
