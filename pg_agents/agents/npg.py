"""The natural policy gradient."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.advantages import generalized_advantages
from pg_agents.agents.common.cadence_config import NaturalConfig
from pg_agents.agents.common.flat_optimizer import FlatOptimizer
from pg_agents.agents.common.natural_gradient import (
    FOR_PICTURES,
    FOR_TRANSFORMERS,
    MeanKL,
    critic_optimizer,
    fit_values,
    natural_step_of,
)
from pg_agents.agents.common.parameter_vectors import assign, flatten, learned
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.functional.losses import mean_over_steps, policy_gradient
from pg_agents.policies import ImageEncoder, TransformerPolicy


@dataclass(frozen=True, kw_only=True)
class NaturalPolicyGradientConfig(NaturalConfig):
    """The options of the natural policy gradient."""


class NaturalPolicyGradient(Agent[NaturalPolicyGradientConfig]):
    """Natural policy gradient: steepest ascent, with distance measured between policies, not parameters.

        θ ← θ + √(2δ / xᵀFx) x,   F x = E[Â_t ∇ ln π_θ(A_t|S_t)],   F = E[∇ ln π_θ(a|S_t) ∇ ln π_θ(a|S_t)ᵀ]

    The direction F⁻¹∇J does not depend on how the policy is parametrised; for a table of logits it is the advantage
    itself. The step's length makes KL(π_old‖π_θ) about δ; unlike in TRPO this is not checked. Â is the generalised
    advantage estimate; the critic, which shares no parameters with the policy, regresses on Â + V.

    Reference: Kakade (2001); Rajeswaran et al. (2017) for the step's length.
    """

    name = "npg"
    differentiates_twice = separate_networks = True
    policy_defaults = {TransformerPolicy: FOR_TRANSFORMERS, ImageEncoder: FOR_PICTURES}

    def make_optimizer(self) -> FlatOptimizer:
        """Return Adam for the critic alone."""
        return critic_optimizer(self.policy, self.critic, self.config.adam_epsilon)

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute Â and the λ-returns."""
        returns = self.current("discount", rollout), self.current("gae_lambda", rollout)
        normalize = self.config.normalize_advantages
        advantages, targets, fit = generalized_advantages(self.critic, rollout, *returns, normalize=normalize)
        weights = mean_over_steps(rollout.mask, dtype=rollout.rewards.dtype)
        return Batch.of(rollout, advantages=advantages, weights=weights, targets=targets), fit

    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −Â_t ln π(A_t|S_t), averaged over steps, whose gradient is −∇J."""
        policy = self.distribution(batch)
        loss = batch.sum(policy_gradient(policy.log_prob(batch.actions), batch.advantages))
        return loss, batch.means(entropy=policy.entropy())

    def optimize(self, batch: Batch) -> Metrics:
        """Take the policy's natural-gradient step, and let the critic regress on its targets."""
        loss, means = self(batch)
        step, residual = natural_step_of(loss, self.policy, batch, self.config, self.split)
        if not torch.isfinite(step).all():
            raise self.not_finite("the gradient")
        divergence, parameters = MeanKL(self.policy, batch), learned(self.policy)
        before = flatten(parameters)
        assign(parameters, before + step)
        metrics = {"kl": batch.total(divergence()), "cg_residual": residual}
        if not torch.isfinite(metrics["kl"]):
            assign(parameters, before)
            raise self.not_finite("the new policy's divergence from the old one")
        self.flat_optimizer.set_learning_rates([self.current("critic_learning_rate")])
        return dict(means) | metrics | {"value_loss": fit_values(self.critic, self.parts(batch), self.optimizer_step)}
