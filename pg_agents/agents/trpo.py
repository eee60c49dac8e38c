"""Trust-region policy optimisation."""

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
    line_search,
    natural_step_of,
)
from pg_agents.agents.common.parameter_vectors import learned
from pg_agents.configuration import Count, OpenUnitInterval
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, Rollout
from pg_agents.functional.losses import mean_over_steps
from pg_agents.policies import ImageEncoder, TransformerPolicy


@dataclass(frozen=True, kw_only=True)
class TRPOConfig(NaturalConfig):
    """The options of TRPO."""

    backtrack: OpenUnitInterval = 0.8
    """Factor by which each trial of the line search shortens the step."""
    line_search_trials: Count = 10
    """Number of step lengths that the line search tries; if all are refused, no step is taken."""


class TRPO(Agent[TRPOConfig]):
    """Trust-region policy optimisation: the best policy, to first order, among those within a KL divergence of δ.

        max_θ L(θ) = E[ρ_t Â_t],  ρ_t = π_θ(A_t|S_t) / π_old(A_t|S_t),  subject to E[KL(π_old(·|S_t) ‖ π_θ(·|S_t))] ≤ δ

    by the step √(2δ / xᵀFx) x along the natural gradient, F x = ∇L, which conjugate gradients find from products with
    the Fisher matrix F. The step is shortened until L increases and the divergence is at most δ; after too many
    trials no step is taken. Â is the generalised advantage estimate; the critic, which shares no parameters with
    the policy, regresses on Â + V.

    Reference: Schulman et al. (2015); Schulman et al. (2016) for Â.
    """

    name = "trpo"
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
        """Return −ρ_t Â_t, averaged over steps: minus the surrogate L."""
        policy = self.distribution(batch)
        ratio = (policy.log_prob(batch.actions) - batch.log_probs).exp()
        return -batch.sum(ratio * batch.advantages), batch.means(entropy=policy.entropy())

    def optimize(self, batch: Batch) -> Metrics:
        """Take the policy's step, if the line search finds one, and let the critic regress on its targets."""
        loss, means = self(batch)
        step, residual = natural_step_of(loss, self.policy, batch, self.config, self.split)
        if not torch.isfinite(step).all():
            raise self.not_finite("the gradient")
        divergence, parameters = MeanKL(self.policy, batch), learned(self.policy)
        search = (self.config.max_kl, self.config.backtrack, self.config.line_search_trials)
        total = batch.total
        changes = lambda: (total(loss - self(batch)[0]), total(divergence()))  # noqa: E731 - of L and of the policy
        fraction, improvement, kl = line_search(parameters, step, changes, *search)
        metrics = {"kl": kl, "step_fraction": torch.tensor(fraction), "surrogate_improvement": improvement}
        self.flat_optimizer.set_learning_rates([self.current("critic_learning_rate")])
        value_loss = fit_values(self.critic, self.parts(batch), self.optimizer_step)
        return dict(means) | metrics | {"cg_residual": residual, "value_loss": value_loss}
