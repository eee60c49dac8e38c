"""REINFORCE leave-one-out."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from pg_agents.agents.base import ADAM_EPSILON, Agent, Metrics, OptimizerName
from pg_agents.agents.common.groups import GROUP_SIZE, check_compared, fitting_group_size, returns_of_columns
from pg_agents.agents.common.kl_regularization import (
    KLPenalty,
    beside_reference,
    make_reference,
    penalty_to_go,
    with_kl,
)
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout
from pg_agents.functional.comparisons import leave_one_out
from pg_agents.functional.losses import mean_over_episodes, policy_gradient, with_entropy
from pg_agents.policies import Policy
from pg_agents.schedules import Scheduled


class RLOO(Agent):
    """REINFORCE leave-one-out: an episode is judged by the mean of the others that began in the same state.

        ∇J ≈ (1/n) Σ_i [R_i − (1/(G − 1)) Σ_{j≠i} R_j] Σ_t ∇ ln π_θ(A_t^i|S_t^i),   R_i = Σ_t γ^t R_{t+1}^i

    with n episodes in groups of G. The estimate is unbiased: the others' actions are drawn independently of an
    episode's own, also where a group shares its initial state and the noise of its dynamics. Each rollout gives one
    step. An episode that was cut ends there: nothing stands for the rewards it would have had. A KL penalty in the
    reward is not part of R_i: A_t's own share, the divergence from t on, is compared with that of the others.

    Args:
        policy: π_θ.
        reference: π_ref, frozen; None with kl_weight above 0: the policy as it is at the start.
        learning_rate: α; may be scheduled.
        group_size: G, environments in succession that begin alike; `for_env` takes the largest up to 8 that divides
            their number.
        discount: γ, between 0 and 1.
        entropy_weight: of the policy's entropy, added to what is maximised; may be scheduled.
        kl_weight: β of the KL divergence from `reference`, taken off what is maximised; may be scheduled.
        kl_penalty: where: "reward", from each step's reward, which is unbiased; "k2-loss" or "k3-loss", in the loss,
            biased by what `pg_agents.agents.common.kl_regularization` says.
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        micro_batch_size: steps differentiated at once, to save memory; the step is the same; None: all of them.
        max_grad_norm: longer gradients are scaled down to this norm; None: never.
        max_episode_steps: cut episodes at that many steps, for environments without a time limit.
        optimizer: "adam", "rmsprop" or "sgd".
        adam_epsilon: ε of Adam, which is added to the root that its steps are divided by.

    Raises:
        ValueError: for arguments out of range.

    Reference: Kool, van Hoof & Welling (2019); Ahmadian et al. (2024).
    """

    name = "rloo"
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
        group_size: int = GROUP_SIZE,
        discount: float = 1.0,
        entropy_weight: Scheduled = 0.0,
        kl_weight: Scheduled = 0.0,
        kl_penalty: KLPenalty = "reward",
        normalize_rewards: bool = False,
        micro_batch_size: int | None = None,
        max_grad_norm: float | None = None,
        max_episode_steps: int | None = None,
        optimizer: OptimizerName = "adam",
        adam_epsilon: float = ADAM_EPSILON,
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
            adam_epsilon=adam_epsilon,
        )
        self.group_size = group_size
        self.entropy_weight, self.kl_weight = entropy_weight, kl_weight
        self.kl_penalty: KLPenalty = kl_penalty
        self.max_episode_steps = max_episode_steps
        self.micro_batch_size = micro_batch_size
        self.check()
        self.reference = make_reference(policy, reference, self.kl_weight, self.cadence)

    @property
    def cadence(self) -> EpisodeCadence:
        """One whole episode of each environment, which begin alike in groups of `group_size`."""
        return EpisodeCadence(self.max_episode_steps, self.group_size)

    @classmethod
    def defaults_for(cls, num_envs: int) -> dict[str, Any]:
        """Return a size of groups that divides the number of environments."""
        return {"group_size": fitting_group_size(num_envs)}

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute R_i less the mean of the others in its group, and what is still to come of the KL penalty."""
        rollout, metrics = beside_reference(rollout, self.reference, self.micro_batch_size)
        compared = leave_one_out(returns_of_columns(rollout, self.discount), rollout.group_ids)
        kl_to_go = penalty_to_go(rollout, self.kl_penalty, self.current("kl_weight"), self.discount)
        advantages = compared.expand_as(rollout.rewards) - kl_to_go
        weights = mean_over_episodes(rollout.mask, dtype=rollout.rewards.dtype)
        return Batch.of(rollout, advantages=advantages, weights=weights), metrics

    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −Σ_t [A_i ln π(A_t|S_t) + η H(π(·|S_t)) − β k_t], averaged over episodes."""
        distribution = self.policy(batch.observations, batch.memory, batch.episode_starts)
        log_probs, entropy = distribution.log_prob(batch.actions), distribution.entropy()
        terms = policy_gradient(log_probs, batch.advantages)
        loss = batch.sum(with_entropy(terms, entropy, self.current("entropy_weight")))
        loss = with_kl(loss, log_probs, batch, self.kl_penalty, self.current("kl_weight"))
        return loss, batch.means(policy_loss=terms, entropy=entropy)
