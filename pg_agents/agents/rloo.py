"""REINFORCE leave-one-out."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from pg_agents.agents.agent import Agent, Metrics, OptimizerName
from pg_agents.agents.grouping import GROUP_SIZE, check_compared, fitting_group_size, returns_of_columns
from pg_agents.losses import entropy_bonus, mean_over_episodes, policy_gradient
from pg_agents.policies import Policy
from pg_agents.returns import leave_one_out
from pg_agents.rollout import Batch, Episodes, Rollout
from pg_agents.schedules import Scheduled


class RLOO(Agent):
    """REINFORCE leave-one-out: an episode is judged by the mean of the others that began in the same state.

        ∇J ≈ (1/n) Σ_i [R_i − (1/(G − 1)) Σ_{j≠i} R_j] Σ_t ∇ ln π_θ(A_t^i|S_t^i),   R_i = Σ_t γ^t R_{t+1}^i

    with n episodes in groups of G. The estimate is unbiased: the others' actions are drawn independently of an
    episode's own, also where a group shares its initial state and the noise of its dynamics. Each rollout gives one
    step. An episode that was cut ends there: nothing stands for the rewards it would have had.

    Args:
        policy: π_θ.
        learning_rate: α; may be scheduled.
        group_size: G, environments in succession that begin alike; `for_env` takes the largest up to 8 that divides
            their number.
        discount: γ, between 0 and 1.
        entropy_weight: of the policy's entropy, added to what is maximised; may be scheduled.
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        max_grad_norm: longer gradients are scaled down to this norm; None: never.
        max_episode_steps: cut episodes at that many steps, for environments without a time limit.
        optimizer: "adam", "rmsprop" or "sgd".

    Raises:
        ValueError: for arguments out of range.

    Reference: Kool, van Hoof & Welling (2019); Ahmadian et al. (2024).
    """

    name = "rloo"
    suited: ClassVar[dict[str, dict[str, Any]]] = {
        "TabularPolicy": {"learning_rate": 0.1},
        "TransformerPolicy": {"learning_rate": 1e-3},
    }

    def __init__(
        self,
        *,
        policy: Policy,
        learning_rate: Scheduled = 3e-3,
        group_size: int = GROUP_SIZE,
        discount: float = 1.0,
        entropy_weight: Scheduled = 0.0,
        normalize_rewards: bool = False,
        max_grad_norm: float | None = None,
        max_episode_steps: int | None = None,
        optimizer: OptimizerName = "adam",
    ) -> None:
        check_compared(policy)
        super().__init__(
            policy,
            None,
            learning_rate=learning_rate,
            discount=discount,
            max_grad_norm=max_grad_norm,
            normalize_rewards=normalize_rewards,
            optimizer=optimizer,
        )
        self.group_size = group_size
        self.entropy_weight = entropy_weight
        self.max_episode_steps = max_episode_steps
        self.check()

    @property
    def cadence(self) -> Episodes:
        """One whole episode of each environment, which begin alike in groups of `group_size`."""
        return Episodes(self.max_episode_steps, self.group_size)

    @classmethod
    def sized(cls, num_envs: int) -> dict[str, Any]:
        """Return a size of groups that divides the number of environments."""
        return {"group_size": fitting_group_size(num_envs)}

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute R_i less the mean of the others in its group, the same at every step of an episode."""
        advantages = leave_one_out(returns_of_columns(rollout, self.discount), rollout.group_ids)
        weights = mean_over_episodes(rollout.mask, dtype=rollout.rewards.dtype)
        return Batch.of(rollout, advantages=advantages.expand_as(rollout.rewards), weights=weights), {}

    def forward(self, batch: Batch) -> tuple[Tensor, Metrics]:
        """Return −Σ_t [A_i ln π(A_t|S_t) + η H(π(·|S_t))], averaged over episodes."""
        distribution = self.policy(batch.observations, batch.memory, batch.starts)
        terms, entropy = policy_gradient(distribution.log_prob(batch.actions), batch.advantages), distribution.entropy()
        loss = batch.sum(terms - entropy_bonus(entropy, self.current("entropy_weight")))
        return loss, {"policy_loss": batch.mean(terms), "entropy": batch.mean(entropy)}
