"""Proximal policy optimisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.advantages import NormalizedOver, generalized_advantages, standardized
from pg_agents.agents.common.cadence_config import LongRolloutConfig
from pg_agents.agents.common.config import AdvantageActorCriticConfig, ClipRange, MicroBatchConfig, MinibatchConfig
from pg_agents.configuration import Each, Positive, PositiveOrInfinite, Scheduled, Several
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.functional.losses import clipped_surrogate, mean_over_steps, plus, ratio_metrics, squared_error
from pg_agents.policies import GRUPolicy, ImageEncoder, TabularPolicy, TransformerPolicy


@dataclass(frozen=True, kw_only=True)
class PPOConfig(LongRolloutConfig, MicroBatchConfig, MinibatchConfig, AdvantageActorCriticConfig):
    """The options of PPO."""

    learning_rate: Each[Scheduled[Positive]] = 3e-4
    minibatch_size: Several | None = 64
    max_grad_norm: Each[PositiveOrInfinite] | None = 0.5
    normalize_advantages: bool = True
    normalize_over: NormalizedOver = "rollout"
    """Where Â is standardised: "rollout", once, with the deviation over n; "minibatch", in each minibatch, with the
    deviation over n − 1, as in Stable-Baselines3."""
    clip: ClipRange = 0.2
    """ε: how far the probability ratio may move from 1 before its gradient is cut off."""
    target_kl: Each[PositiveOrInfinite] | None = None
    """End an update early once KL(π_old‖π_θ) exceeds 1.5 times this value; None: never."""


class PPO(Agent[PPOConfig]):
    """Proximal policy optimisation: several epochs on one rollout, keeping the policy near π_old, which collected it.

        L(θ) = E[min(ρ_t Â_t, clip(ρ_t, 1 − ε, 1 + ε) Â_t)],   ρ_t = π_θ(A_t|S_t) / π_old(A_t|S_t)

    with generalised advantage estimates Â; the critic regresses on the λ-returns Â + V. At θ = θ_old the gradient is
    that of the advantage actor-critic, scaled by the standardisation of Â.

    Reference: Schulman et al. (2017).
    """

    name = "ppo"
    policy_defaults = {
        TabularPolicy: {"learning_rate": 0.03, "critic_learning_rate": 0.1},
        TransformerPolicy: {"num_steps": None, "learning_rate": 1e-3, "epochs": 4, "minibatch_size": 256},
        GRUPolicy: {"learning_rate": 1e-3, "epochs": 4, "minibatch_size": 256},
        ImageEncoder: {"learning_rate": 2.5e-4, "epochs": 4, "minibatch_size": 256, "entropy_weight": 0.01},
    }

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute Â and the λ-returns."""
        config = self.config
        how = {"normalize": config.normalize_advantages, "at_once": config.normalize_over == "rollout"}
        returns = self.current("discount", rollout), self.current("gae_lambda", rollout)
        advantages, targets, fit = generalized_advantages(self.critic, rollout, *returns, **how)
        weights = mean_over_steps(rollout.mask, rollout.num_learners, rollout.rewards.dtype)
        return Batch.of(rollout, advantages=advantages, weights=weights, targets=targets), fit

    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −min(ρÂ, clip(ρ)Â) − η H(π(·|S_t)) + β k_t + c ½ (V(S_t) − G_t)², averaged over steps."""
        (policy, values), clip = self.outputs(batch), self.current("clip", batch)
        log_probs = policy.log_prob(batch.actions)
        log_ratio = log_probs - batch.log_probs  # ln ρ, [T, B]
        surrogate, errors = clipped_surrogate(log_ratio, batch.advantages, clip), squared_error(values, batch.targets)
        terms = plus(surrogate, errors, self.current("value_weight", batch))
        metrics = {"policy_loss": surrogate, "value_loss": errors} | ratio_metrics(log_ratio, clip)
        return self.regularized(batch, terms, policy, log_probs, **metrics)

    def parts(self, batch: Batch) -> Iterator[Batch]:
        """Yield the minibatches `epochs` times, with Â standardised in each if `normalize_over` is "minibatch"."""
        by_itself = self.config.normalize_advantages and self.config.normalize_over == "minibatch"
        for part in super().parts(batch):
            if by_itself:
                part = standardized(part)
            yield part

    def should_stop_early(self, means: WeightedMetrics) -> Tensor | bool:
        """Return whether KL(π_old‖π_θ) exceeds 1.5 times `target_kl`."""
        target = self.current("target_kl")
        return target is not None and means["kl"] > 1.5 * target
