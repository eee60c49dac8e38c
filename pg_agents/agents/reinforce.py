"""REINFORCE (Williams, 1992)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from pg_agents.agents.base import ADAM_EPSILON, Agent, Metrics, OptimizerName
from pg_agents.agents.common.advantages import Signal, monte_carlo
from pg_agents.agents.common.kl_regularization import KLPenalty, beside_reference, make_reference, penalized, with_kl
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout
from pg_agents.functional.losses import mean_over_episodes, policy_gradient, with_entropy
from pg_agents.functional.returns import standardize
from pg_agents.policies import Policy
from pg_agents.schedules import Scheduled


class Reinforce(Agent):
    """REINFORCE: follow the gradient of the expected return, estimated from whole episodes.

        θ ← θ + α (1/n) Σ_i Σ_t Ψ_t ∇ ln π_θ(A_t|S_t),   Ψ_t = G_t or γ^t G_t or G_0

    An update uses one episode of each environment. An episode that was truncated counts as one that ended there: the
    agent has no value function to stand for the rewards that were cut, so the time limit is part of what it maximises.

    Args:
        policy: π_θ.
        reference: π_ref, frozen; None with kl_weight above 0: the policy as it is at the start.
        learning_rate: α; may be scheduled.
        discount: γ, between 0 and 1.
        signal: Ψ_t: "reward-to-go" G_t, "discounted-reward-to-go" γ^t G_t, or "whole-return" G_0; the last two are
            unbiased for the discounted return, the first is what is commonly used.
        entropy_weight: of the policy's entropy, added to what is maximised; may be scheduled.
        kl_weight: β of the KL divergence from `reference`, taken off what is maximised; may be scheduled.
        kl_penalty: where: "reward", from each step's reward, which is unbiased; "k2-loss" or "k3-loss", in the loss,
            biased by what `pg_agents.agents.common.kl_regularization` says.
        normalize_advantages: standardise Ψ over the batch (mean 0, standard deviation 1); biased: cosine 0.99 on
            average and 0.94 at worst for batches of three texts (`python -m benchmarks objectives`).
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        micro_batch_size: steps differentiated at once, to save memory; the step is the same; None: all of them.
        max_grad_norm: longer gradients are scaled down to this norm; None: never.
        max_episode_steps: cut episodes at that many steps, for environments without a time limit.
        optimizer: "adam", "rmsprop" or "sgd".
        adam_epsilon: ε of Adam, which is added to the root that its steps are divided by.

    Raises:
        ValueError: for arguments out of range.

    Reference: Williams (1992); Sutton & Barto (2018), section 13.3.
    """

    name = "reinforce"
    policy_defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "TabularPolicy": {"learning_rate": 0.1},
        "TransformerPolicy": {"learning_rate": 1e-3},
    }

    def __init__(
        self,
        *,
        policy: Policy,
        reference: Policy | None = None,
        learning_rate: Scheduled = 3e-3,
        discount: float = 0.99,
        signal: Signal = "reward-to-go",
        entropy_weight: Scheduled = 0.0,
        kl_weight: Scheduled = 0.0,
        kl_penalty: KLPenalty = "reward",
        normalize_advantages: bool = False,
        normalize_rewards: bool = False,
        micro_batch_size: int | None = None,
        max_grad_norm: float | None = None,
        max_episode_steps: int | None = None,
        optimizer: OptimizerName = "adam",
        adam_epsilon: float = ADAM_EPSILON,
    ) -> None:
        super().__init__(
            policy,
            None,
            learning_rate=learning_rate,
            discount=discount,
            max_grad_norm=max_grad_norm,
            normalize_rewards=normalize_rewards,
            optimizer=optimizer,
            adam_epsilon=adam_epsilon,
        )
        self.signal: Signal = signal
        self.entropy_weight, self.kl_weight = entropy_weight, kl_weight
        self.kl_penalty: KLPenalty = kl_penalty
        self.normalize_advantages = normalize_advantages
        self.max_episode_steps = max_episode_steps
        self.micro_batch_size = micro_batch_size
        self.check()
        self.reference = make_reference(policy, reference, self.kl_weight, self.cadence)

    @property
    def cadence(self) -> EpisodeCadence:
        """One whole episode of each environment."""
        return EpisodeCadence(self.max_episode_steps)

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute Ψ."""
        rollout, metrics = beside_reference(rollout, self.reference, self.micro_batch_size)
        rollout = penalized(rollout, self.kl_penalty, self.current("kl_weight"))
        returns, time_weights = monte_carlo(self.signal, rollout, self.discount)
        if self.normalize_advantages:
            returns = standardize(returns, rollout.mask)
        weights = mean_over_episodes(rollout.mask, self.policy.num_learners, rollout.rewards.dtype)
        return Batch.of(rollout, advantages=time_weights * returns, weights=weights), metrics

    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −Σ_t [Ψ_t ln π(A_t|S_t) + η H(π(·|S_t)) − β k_t], averaged over episodes."""
        distribution = self.policy(batch.observations, batch.memory, batch.episode_starts)
        log_probs, entropy = distribution.log_prob(batch.actions), distribution.entropy()
        terms = policy_gradient(log_probs, batch.advantages)
        loss = batch.sum(with_entropy(terms, entropy, self.current("entropy_weight")))
        loss = with_kl(loss, log_probs, batch, self.kl_penalty, self.current("kl_weight"))
        return loss, batch.means(policy_loss=terms, entropy=entropy)
