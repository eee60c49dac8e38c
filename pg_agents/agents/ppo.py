"""Proximal policy optimisation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from pg_agents.agents.base import ADAM_EPSILON, Agent, Metrics, OptimizerName
from pg_agents.agents.common.advantages import NormalizedOver, generalized_advantages
from pg_agents.agents.common.kl_regularization import KLPenalty, beside_reference, make_reference, penalized, with_kl
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout, StepCadence, steps_or_episodes
from pg_agents.functional.losses import clipped_surrogate, mean_over_steps, ratio_metrics, squared_error, with_entropy
from pg_agents.functional.returns import standardize
from pg_agents.policies import Critic, Policy
from pg_agents.schedules import Scheduled


class PPO(Agent):
    """Proximal policy optimisation: several epochs on one rollout, with the policy kept near the one that acted.

        L(θ) = E[min(ρ_t Â_t, clip(ρ_t, 1 − ε, 1 + ε) Â_t)],   ρ_t = π_θ(A_t|S_t) / π_old(A_t|S_t)

    with generalised advantage estimates Â; the critic regresses on the λ-returns Â + V. At θ = θ_old the gradient is
    that of the advantage actor-critic; the standardisation of Â scales it.

    Args:
        policy: π_θ.
        critic: V_ψ.
        reference: π_ref, frozen; None with kl_weight above 0: the policy as it is at the start.
        num_steps: of each environment between updates; None: one whole episode of each. `for_env` takes 2048 divided by
            the number of environments; for tokens whole episodes, each of which is read once instead of once a token.
        epochs: passes over the rollout.
        minibatch_size: steps in a gradient step.
        clip: ε; may be scheduled.
        target_kl: end an update once the KL divergence from the policy that acted exceeds 1.5 times this; None: never.
        learning_rate: α of the policy; may be scheduled.
        critic_learning_rate: β of the critic; None: the policy's; may be scheduled.
        discount: γ, between 0 and 1.
        gae_lambda: λ, between 0 and 1.
        value_weight: of the critic's loss; it matters where the gradient is clipped or networks are shared.
        entropy_weight: of the policy's entropy, added to what is maximised; may be scheduled.
        kl_weight: β of the KL divergence from `reference`, taken off what is maximised; may be scheduled.
        kl_penalty: where: "reward", from each step's reward, which is unbiased; "k2-loss" or "k3-loss", in the loss,
            biased by what `pg_agents.agents.common.kl_regularization` says.
        normalize_advantages: standardise Â.
        normalize_over: "rollout", once, with the deviation over n; "minibatch", each minibatch by itself, with the
            deviation over n − 1, as Stable-Baselines3 does it.
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        micro_batch_size: steps differentiated at once, to save memory; the step is the same; None: all of them.
        max_grad_norm: longer gradients are scaled down to this norm; None: never.
        optimizer: "adam", "rmsprop" or "sgd".
        adam_epsilon: ε of Adam, which is added to the root that its steps are divided by.

    Raises:
        ValueError: for arguments out of range.

    Reference: Schulman et al. (2017).
    """

    name = "ppo"
    kl_penalty: KLPenalty
    normalize_over: NormalizedOver
    policy_defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "TabularPolicy": {"learning_rate": 0.03, "critic_learning_rate": 0.1},
        "TransformerPolicy": {"num_steps": None, "learning_rate": 1e-3, "epochs": 4, "minibatch_size": 256},
        "GRUPolicy": {"learning_rate": 1e-3, "epochs": 4, "minibatch_size": 256},
    }

    def __init__(
        self,
        *,
        policy: Policy,
        critic: Critic,
        reference: Policy | None = None,
        num_steps: int | None = 256,
        epochs: int = 10,
        minibatch_size: int = 64,
        clip: Scheduled = 0.2,
        target_kl: float | None = None,
        learning_rate: Scheduled = 3e-4,
        critic_learning_rate: Scheduled | None = None,
        discount: float = 0.99,
        gae_lambda: float = 0.95,
        value_weight: float = 1.0,
        entropy_weight: Scheduled = 0.0,
        kl_weight: Scheduled = 0.0,
        kl_penalty: KLPenalty = "reward",
        normalize_advantages: bool = True,
        normalize_over: NormalizedOver = "rollout",
        normalize_rewards: bool = False,
        micro_batch_size: int | None = None,
        max_grad_norm: float | None = 0.5,
        optimizer: OptimizerName = "adam",
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
        self.epochs, self.minibatch_size, self.micro_batch_size = epochs, minibatch_size, micro_batch_size
        self.num_steps, self.clip, self.target_kl = num_steps, clip, target_kl
        self.gae_lambda, self.value_weight, self.entropy_weight = gae_lambda, value_weight, entropy_weight
        self.kl_weight, self.kl_penalty = kl_weight, kl_penalty
        self.normalize_advantages, self.normalize_over = normalize_advantages, normalize_over
        self.check()
        self.reference = make_reference(policy, reference, self.kl_weight, self.cadence)

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
        rollout, metrics = beside_reference(rollout, self.reference, self.micro_batch_size)
        rollout = penalized(rollout, self.kl_penalty, self.current("kl_weight"))
        how = {"normalize": self.normalize_advantages, "at_once": self.normalize_over == "rollout"}
        advantages, targets, fit = generalized_advantages(self.critic, rollout, self.discount, self.gae_lambda, **how)
        weights = mean_over_steps(rollout.mask, self.policy.num_learners, rollout.rewards.dtype)
        return Batch.of(rollout, advantages=advantages, weights=weights, targets=targets), metrics | fit

    def parts(self, batch: Batch) -> Iterator[Batch]:
        """Yield the minibatches `epochs` times, their Â standardised where each is to be by itself."""
        if not self.normalize_advantages or self.normalize_over == "rollout":
            yield from super().parts(batch)
            return
        for part in super().parts(batch):
            advantages, valid = part.advantages[None], (part.weights != 0)[None]  # [n] or [T, b] of the minibatch
            yield replace(part, advantages=standardize(advantages, valid, correction=1)[0])

    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −min(ρÂ, clip(ρ)Â) − η H(π(·|S_t)) + β k_t + c ½ (V(S_t) − G_t)², averaged over steps."""
        assert batch.targets is not None
        distribution = self.policy(batch.observations, batch.memory, batch.episode_starts)
        values = self.critic(batch.observations, batch.memory, batch.episode_starts)
        log_probs = distribution.log_prob(batch.actions)
        log_ratio = log_probs - batch.log_probs
        clip = self.current("clip")
        terms = clipped_surrogate(log_ratio, batch.advantages, clip)
        errors, entropy = squared_error(values, batch.targets), distribution.entropy()
        both = torch.add(terms, errors, alpha=self.value_weight)
        loss = batch.sum(with_entropy(both, entropy, self.current("entropy_weight")))
        loss = with_kl(loss, log_probs, batch, self.kl_penalty, self.current("kl_weight"))
        moved = ratio_metrics(log_ratio, clip)
        return loss, batch.means(policy_loss=terms, value_loss=errors, entropy=entropy, **moved)

    def should_stop_early(self, means: WeightedMetrics) -> bool:
        """Return whether the KL divergence from the policy that acted exceeds 1.5 times `target_kl`."""
        return self.target_kl is not None and bool(means["kl"] > 1.5 * self.target_kl)
