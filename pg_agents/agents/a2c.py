"""Advantage actor-critic."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from pg_agents.agents.base import ADAM_EPSILON, Agent, Metrics, OptimizerName
from pg_agents.agents.common.advantages import generalized_advantages
from pg_agents.agents.common.kl_regularization import KLPenalty, beside_reference, make_reference, penalized, with_kl
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout, StepCadence, steps_or_episodes
from pg_agents.functional.losses import mean_over_steps, policy_gradient, squared_error, with_entropy
from pg_agents.policies import Critic, Policy
from pg_agents.schedules import Scheduled


class A2C(Agent):
    """Advantage actor-critic: one step on a few steps of many environments that move together.

        θ ← θ + α E[Â_t ∇ ln π_θ(A_t|S_t) + η ∇ H(π_θ(·|S_t))],   ψ ← ψ − β c E[∇ ½ (V_ψ(S_t) − G_t)²]

    Â is the generalised advantage estimate over the rollout's steps, G = Â + V. The asynchronous original had 5 steps
    and λ = 1, the longest n-step return the rollout contains; 16 steps and λ = 0.95 learn sooner, by steps and by time.

    Args:
        policy: π_θ.
        critic: V_ψ.
        reference: π_ref, frozen; None with kl_weight above 0: the policy as it is at the start.
        num_steps: n, of each environment between updates; None: one whole episode of each.
        learning_rate: α of the policy; may be scheduled.
        critic_learning_rate: β of the critic; None: the policy's; may be scheduled.
        discount: γ, between 0 and 1.
        gae_lambda: λ, between 0 and 1.
        value_weight: c; it matters where the gradient is clipped or networks are shared.
        entropy_weight: η; may be scheduled.
        kl_weight: β of the KL divergence from `reference`, taken off what is maximised; may be scheduled.
        kl_penalty: where: "reward", from each step's reward, which is unbiased; "k2-loss" or "k3-loss", in the loss,
            biased by what `pg_agents.agents.common.kl_regularization` says.
        normalize_advantages: standardise Â over the rollout.
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        max_grad_norm: longer gradients are scaled down to this norm; None: never.
        optimizer: "adam", "rmsprop" or "sgd".
        adam_epsilon: ε of Adam, which is added to the root that its steps are divided by.

    Raises:
        ValueError: for arguments out of range.

    Reference: Mnih et al. (2016), whose synchronous form this is.
    """

    name = "a2c"
    policy_defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "TabularPolicy": {"learning_rate": 0.01, "critic_learning_rate": 0.03},
        "TransformerPolicy": {"learning_rate": 1e-3},
        "GRUPolicy": {"num_steps": 32, "learning_rate": 3e-3, "optimizer": "adam"},
    }

    def __init__(
        self,
        *,
        policy: Policy,
        critic: Critic,
        reference: Policy | None = None,
        num_steps: int | None = 16,
        learning_rate: Scheduled = 1.5e-3,
        critic_learning_rate: Scheduled | None = None,
        discount: float = 0.99,
        gae_lambda: float = 0.95,
        value_weight: float = 1.0,
        entropy_weight: Scheduled = 0.0,
        kl_weight: Scheduled = 0.0,
        kl_penalty: KLPenalty = "reward",
        normalize_advantages: bool = False,
        normalize_rewards: bool = False,
        max_grad_norm: float | None = 0.5,
        optimizer: OptimizerName = "rmsprop",
        adam_epsilon: float = ADAM_EPSILON,
    ) -> None:
        super().__init__(
            policy,
            critic,
            learning_rate=learning_rate,
            critic_learning_rate=critic_learning_rate,
            discount=discount,
            max_grad_norm=max_grad_norm,
            normalize_rewards=normalize_rewards,
            optimizer=optimizer,
            adam_epsilon=adam_epsilon,
        )
        self.num_steps, self.gae_lambda = num_steps, gae_lambda
        self.value_weight, self.entropy_weight, self.kl_weight = value_weight, entropy_weight, kl_weight
        self.kl_penalty: KLPenalty = kl_penalty
        self.normalize_advantages = normalize_advantages
        self.check()
        self.reference = make_reference(policy, reference, self.kl_weight, self.cadence)

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """`num_steps` steps of each environment, or one whole episode of each."""
        return steps_or_episodes(self.num_steps)

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute Â and G = Â + V."""
        rollout, metrics = beside_reference(rollout, self.reference, self.micro_batch_size)
        rollout = penalized(rollout, self.kl_penalty, self.current("kl_weight"))
        advantages, targets, fit = generalized_advantages(
            self.critic, rollout, self.discount, self.gae_lambda, normalize=self.normalize_advantages
        )
        weights = mean_over_steps(rollout.mask, self.policy.num_learners, rollout.rewards.dtype)
        return Batch.of(rollout, advantages=advantages, weights=weights, targets=targets), metrics | fit

    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −Â_t ln π(A_t|S_t) − η H(π(·|S_t)) + β k_t + c ½ (V(S_t) − G_t)², averaged over steps."""
        assert batch.targets is not None
        distribution = self.policy(batch.observations, batch.memory, batch.episode_starts)
        values = self.critic(batch.observations, batch.memory, batch.episode_starts)
        log_probs = distribution.log_prob(batch.actions)
        terms = policy_gradient(log_probs, batch.advantages)
        errors, entropy = squared_error(values, batch.targets), distribution.entropy()
        both = torch.add(terms, errors, alpha=self.value_weight)
        loss = batch.sum(with_entropy(both, entropy, self.current("entropy_weight")))
        loss = with_kl(loss, log_probs, batch, self.kl_penalty, self.current("kl_weight"))
        return loss, batch.means(policy_loss=terms, value_loss=errors, entropy=entropy)
