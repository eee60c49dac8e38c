"""Trust-region policy optimisation."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from pg_agents.agents.base import ADAM_EPSILON, Agent, Metrics
from pg_agents.agents.common.advantages import generalized_advantages
from pg_agents.agents.common.natural_gradient import (
    Fisher,
    MeanKL,
    check_networks,
    critic_optimizer,
    fit_values,
    flatten,
    learned,
    line_search,
    natural_step,
    some_of,
)
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout, StepCadence, steps_or_episodes
from pg_agents.functional.losses import mean_over_steps
from pg_agents.policies import Critic, Policy
from pg_agents.schedules import Scheduled


class TRPO(Agent):
    """Trust-region policy optimisation: the best policy, to first order, among those within a KL divergence of δ.

        max_θ L(θ) = E[ρ_t Â_t],  ρ_t = π_θ(A_t|S_t) / π_old(A_t|S_t),  subject to E[KL(π_old(·|S_t) ‖ π_θ(·|S_t))] ≤ δ

    by the step √(2δ / xᵀFx) x along the natural gradient, F x = ∇L, which conjugate gradients find from products with
    the Fisher matrix F. The step is shortened until L has become larger and the divergence is at most δ; where that
    takes too long there is none. Â is the generalised advantage estimate; the critic regresses on Â + V.

    Args:
        policy: π_θ.
        critic: V_ψ; it shares no parameters with the policy.
        num_steps: of each environment between updates; None: one whole episode of each. `for_env` takes 2048 divided by
            the number of environments; for tokens whole episodes, each of which is read once instead of once a token.
        max_kl: δ, in nats.
        cg_iterations: of conjugate gradients, at most.
        fisher_fraction: the part of the steps that F is an average over; less than 1 saves time with large networks.
        damping: λ; F + λI stands for F in the step.
        backtrack: what the step is multiplied by at each trial of the line search.
        line_search_trials: after so many steps that were refused none is taken.
        critic_learning_rate: β of the critic, by Adam; may be scheduled.
        epochs: the critic's passes over the rollout.
        minibatch_size: steps in a gradient step of the critic.
        discount: γ, between 0 and 1.
        gae_lambda: λ of Â, between 0 and 1.
        normalize_advantages: standardise Â over the rollout.
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        adam_epsilon: ε of Adam, which is added to the root that its steps are divided by.

    Raises:
        ValueError: for arguments out of range.

    Reference: Schulman et al. (2015); Schulman et al. (2016) for Â.
    """

    name = "trpo"
    differentiates_twice = True
    policy_defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "TransformerPolicy": {"num_steps": None, "fisher_fraction": 0.25, "epochs": 4, "minibatch_size": 256}
    }

    def __init__(
        self,
        *,
        policy: Policy,
        critic: Critic,
        num_steps: int | None = 256,
        max_kl: float = 0.01,
        cg_iterations: int = 10,
        fisher_fraction: float = 1.0,
        damping: float = 0.1,
        backtrack: float = 0.8,
        line_search_trials: int = 10,
        critic_learning_rate: Scheduled = 1e-3,
        epochs: int = 10,
        minibatch_size: int = 128,
        discount: float = 0.99,
        gae_lambda: float = 0.95,
        normalize_advantages: bool = True,
        normalize_rewards: bool = False,
        adam_epsilon: float = ADAM_EPSILON,
    ) -> None:
        super().__init__(
            policy,
            critic,
            learning_rate=critic_learning_rate,
            critic_learning_rate=critic_learning_rate,
            discount=discount,
            max_grad_norm=None,
            normalize_rewards=normalize_rewards,
            optimizer="adam",
            adam_epsilon=adam_epsilon,
        )
        self.num_steps, self.max_kl, self.damping = num_steps, max_kl, damping
        self.cg_iterations, self.fisher_fraction = cg_iterations, fisher_fraction
        self.backtrack, self.line_search_trials = backtrack, line_search_trials
        self.epochs, self.minibatch_size = epochs, minibatch_size
        self.gae_lambda, self.normalize_advantages = gae_lambda, normalize_advantages
        check_networks(policy, critic)
        self.check()
        self.descent = critic_optimizer(critic, adam_epsilon)

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """`num_steps` steps of each environment, or one whole episode of each."""
        return steps_or_episodes(self.num_steps)

    @classmethod
    def defaults_for(cls, num_envs: int) -> dict[str, Any]:
        """Return a number of steps that makes a rollout of about 2048."""
        return {"num_steps": max(1, 2048 // num_envs)}

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute Â and the λ-returns."""
        advantages, targets, metrics = generalized_advantages(
            self.critic, rollout, self.discount, self.gae_lambda, normalize=self.normalize_advantages
        )
        weights = mean_over_steps(rollout.mask, dtype=rollout.rewards.dtype)
        return Batch.of(rollout, advantages=advantages, weights=weights, targets=targets), metrics

    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −ρ_t Â_t, averaged over steps: minus the surrogate L."""
        distribution = self.policy(batch.observations, batch.memory, batch.episode_starts)
        ratio = (distribution.log_prob(batch.actions) - batch.log_probs).exp()
        loss = -batch.sum(ratio * batch.advantages)
        return loss, batch.means(entropy=distribution.entropy())

    def optimize(self, batch: Batch) -> Metrics:
        """Take the step of the policy, if there is one, and let the critic regress on its targets."""
        parameters = learned(self.policy)
        loss, means = self(batch)
        gradient = -flatten(torch.autograd.grad(loss, parameters, materialize_grads=True))
        fisher = Fisher(MeanKL(self.policy, some_of(self.split, batch, self.fisher_fraction)))
        step, residual = natural_step(fisher, gradient, self.max_kl, self.damping, self.cg_iterations)
        if not torch.isfinite(step).all():
            raise self._not_finite("the gradient")
        divergence = MeanKL(self.policy, batch)

        def measure() -> tuple[Tensor, Tensor]:
            return loss - self(batch)[0], divergence()

        search = (self.max_kl, self.backtrack, self.line_search_trials)
        fraction, improvement, kl = line_search(parameters, step, measure, *search)
        metrics = {"kl": kl, "step_fraction": torch.tensor(fraction), "surrogate_improvement": improvement}
        self.descent.set_learning_rates([self.current("critic_learning_rate")])
        value_loss = fit_values(self.critic, self.parts(batch), self.optimizer_step)
        return dict(means) | metrics | {"cg_residual": residual, "value_loss": value_loss}
