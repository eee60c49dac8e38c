"""REINFORCE (Williams, 1992)."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from pg_agents.agents.agent import Agent, Metrics, OptimizerName
from pg_agents.agents.signals import Signal, monte_carlo
from pg_agents.losses import entropy_bonus, mean_over_episodes, policy_gradient
from pg_agents.policies import Policy
from pg_agents.returns import standardize
from pg_agents.rollout import Batch, Episodes, Rollout
from pg_agents.schedules import Scheduled


class Reinforce(Agent):
    """REINFORCE: follow the gradient of the expected return, estimated from whole episodes.

        θ ← θ + α (1/n) Σ_i Σ_t Ψ_t ∇ ln π_θ(A_t|S_t),   Ψ_t = G_t or γ^t G_t or G_0

    An update uses one episode of each environment. An episode that was truncated counts as one that ended there: the
    agent has no value function to stand for the rewards that were cut, so the time limit is part of what it maximises.

    Args:
        policy: π_θ.
        learning_rate: α; may be scheduled.
        discount: γ, between 0 and 1.
        signal: Ψ_t: "reward-to-go" G_t, "discounted-reward-to-go" γ^t G_t, or "whole-return" G_0; the last two are
            unbiased for the discounted return, the first is what is commonly used.
        entropy_weight: of the policy's entropy, added to what is maximised; may be scheduled.
        normalize_advantages: standardise Ψ over the batch (mean 0, standard deviation 1).
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        max_grad_norm: longer gradients are scaled down to this norm; None: never.
        max_episode_steps: cut episodes at that many steps, for environments without a time limit.
        optimizer: "adam", "rmsprop" or "sgd".

    Raises:
        ValueError: for arguments out of range.

    Reference: Williams (1992); Sutton & Barto (2018), section 13.3.
    """

    name = "reinforce"
    suited: ClassVar[dict[str, dict[str, Any]]] = {
        "TabularPolicy": {"learning_rate": 0.1},
        "TransformerPolicy": {"learning_rate": 1e-3},
    }

    def __init__(
        self,
        *,
        policy: Policy,
        learning_rate: Scheduled = 3e-3,
        discount: float = 0.99,
        signal: Signal = "reward-to-go",
        entropy_weight: Scheduled = 0.0,
        normalize_advantages: bool = False,
        normalize_rewards: bool = False,
        max_grad_norm: float | None = None,
        max_episode_steps: int | None = None,
        optimizer: OptimizerName = "adam",
    ) -> None:
        super().__init__(
            policy,
            None,
            learning_rate=learning_rate,
            discount=discount,
            max_grad_norm=max_grad_norm,
            normalize_rewards=normalize_rewards,
            optimizer=optimizer,
        )
        self.signal: Signal = signal
        self.entropy_weight = entropy_weight
        self.normalize_advantages = normalize_advantages
        self.max_episode_steps = max_episode_steps
        self.check()

    @property
    def cadence(self) -> Episodes:
        """One whole episode of each environment."""
        return Episodes(self.max_episode_steps)

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute Ψ."""
        returns, time_weights = monte_carlo(self.signal, rollout, self.discount)
        if self.normalize_advantages:
            returns = standardize(returns, rollout.mask)
        weights = mean_over_episodes(rollout.mask, self.policy.num_learners, rollout.rewards.dtype)
        return Batch.of(rollout, advantages=time_weights * returns, weights=weights), {}

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """Return −Σ_t [Ψ_t ln π(A_t|S_t) + η H(π(·|S_t))], averaged over episodes."""
        distribution = self.policy(batch.observations, batch.memory, batch.starts)
        terms, entropy = policy_gradient(distribution.log_prob(batch.actions), batch.advantages), distribution.entropy()
        loss = batch.sum(terms - entropy_bonus(entropy, self.current("entropy_weight")))
        return loss, {"policy_loss": batch.mean(terms), "entropy": batch.mean(entropy)}
