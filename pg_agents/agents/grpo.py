"""Group relative policy optimisation."""

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
from pg_agents.functional.comparisons import Comparison, compare
from pg_agents.functional.losses import Aggregation, aggregation_weights, clipped_surrogate, ratio_metrics, with_entropy
from pg_agents.policies import Policy
from pg_agents.schedules import Scheduled


class GRPO(Agent):
    """Group relative policy optimisation: PPO's clipped objective without a critic, on comparisons within a group.

        L(θ) = (1/n) Σ_i (1/T_i) Σ_t min(ρ_t^i A_i, clip(ρ_t^i, 1 − ε, 1 + ε_high) A_i)
        A_i = (R_i − mean_j R_j) / (std_j R_j + 1e-4),   R_i = Σ_t γ^t R_{t+1}^i,   ρ_t = π_θ(A_t|S_t) / π_old(A_t|S_t)

    over n episodes, of which G begin in the same state and are compared. The estimate is biased: the mean contains the
    episode itself, the standard deviation weighs groups by how alike their returns are, 1/T_i favours short successes
    and long failures. In texts of up to three tokens the cosine with the true gradient is 0.95 on average and 0.80 at
    worst, 0.99 and 0.96 with "token-mean" (`agents.published`, `python -m benchmarks objectives`). Dr. GRPO is
    `advantage="centred", aggregation="constant-length"`, whose first step follows the gradient scaled by (G − 1)/(G ·
    `max_episode_steps`). An episode that was cut ends there.

    A KL penalty in the reward is not part of R_i, whose deviation would be the penalty's noise where scores are equal:
    the divergence from t on is taken off A_i. A group whose returns are all equal is left out of the update where
    nothing else pulls; a penalty or an entropy bonus acts on it too, as a policy that always gets the same is one that
    may need them most.

    Args:
        policy: π_θ.
        reference: π_ref, frozen; None with kl_weight above 0: the policy as it is at the start.
        learning_rate: α; may be scheduled.
        group_size: G, environments in succession that begin alike; `for_env` takes the largest up to 8 that divides
            their number.
        advantage: "standardized" as above; "batch-standardized", divided by the deviation of all n episodes' returns
            instead of the group's; "centred", not divided.
        aggregation: how the steps' terms are put together: "sequence-mean", the mean over each episode's steps, then
            over episodes; "token-mean", over all steps alike; "constant-length", the sum over an episode's steps
            divided by `max_episode_steps`, then the mean over episodes.
        epochs: passes over the rollout.
        minibatch_size: steps in a gradient step; None: the whole rollout.
        clip: ε; may be scheduled.
        clip_high: ε_high; None: ε.
        discount: γ, between 0 and 1.
        entropy_weight: of the policy's entropy, added to what is maximised; may be scheduled.
        kl_weight: β of the KL divergence from `reference`, taken off what is maximised; may be scheduled.
        kl_penalty: where: "reward", from each step's reward, which is unbiased; "k2-loss" or "k3-loss", in the loss,
            biased by what `pg_agents.agents.common.kl_regularization` says.
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        micro_batch_size: steps differentiated at once, to save memory; the step is the same; None: all of them.
        max_grad_norm: longer gradients are scaled down to this norm; None: never.
        max_episode_steps: cut episodes at that many steps, for environments without a time limit; where it divides,
            `for_env` takes those of the environment's longest episode.
        optimizer: "adam", "rmsprop" or "sgd".
        adam_epsilon: ε of Adam, which is added to the root that its steps are divided by.

    Raises:
        ValueError: for arguments out of range; "constant-length" without `max_episode_steps`.

    Reference: Shao et al. (2024); Liu et al. (2025) for Dr. GRPO; Yu et al. (2025), DAPO, for "token-mean" and ε_high.
    """

    name = "grpo"
    advantage: Comparison
    aggregation: Aggregation
    policy_defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "TabularPolicy": {"learning_rate": 0.03},
        "TransformerPolicy": {"learning_rate": 1e-3},
    }

    def __init__(
        self,
        *,
        policy: Policy,
        reference: Policy | None = None,
        learning_rate: Scheduled = 3e-3,
        group_size: int = GROUP_SIZE,
        advantage: Comparison = "standardized",
        aggregation: Aggregation = "sequence-mean",
        epochs: int = 4,
        minibatch_size: int | None = 256,
        clip: Scheduled = 0.2,
        clip_high: float | None = None,
        discount: float = 1.0,
        entropy_weight: Scheduled = 0.0,
        kl_weight: Scheduled = 0.0,
        kl_penalty: KLPenalty = "reward",
        normalize_rewards: bool = False,
        micro_batch_size: int | None = None,
        max_grad_norm: float | None = 0.5,
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
        self.group_size, self.advantage, self.aggregation = group_size, advantage, aggregation
        self.epochs, self.minibatch_size, self.micro_batch_size = epochs, minibatch_size, micro_batch_size
        self.clip, self.clip_high = clip, clip_high
        self.entropy_weight, self.kl_weight = entropy_weight, kl_weight
        self.kl_penalty: KLPenalty = kl_penalty
        self.max_episode_steps = max_episode_steps
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
        """Compute A_i, the same at every step of an episode, and what is still to come of the KL penalty."""
        rollout, metrics = beside_reference(rollout, self.reference, self.micro_batch_size)
        scores, mask = returns_of_columns(rollout, self.discount), rollout.mask
        compared, std = compare(self.advantage, scores, rollout.group_ids, mask.any(0))
        advantages = compared.expand_as(mask) - penalty_to_go(
            rollout, self.kl_penalty, self.current("kl_weight"), self.discount
        )
        weights = aggregation_weights(self.aggregation, mask, self.max_episode_steps or 1, scores.dtype)
        informative = std > 0
        metrics["zero_variance_groups"] = 1 - informative.to(scores.dtype).mean()
        if not (self.current("kl_weight") or self.current("entropy_weight")):
            weights = weights * informative  # groups of equal returns are not worth the time of a gradient
        return Batch.of(rollout, advantages=advantages, weights=weights), metrics

    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −min(ρA, clip(ρ)A) − η H(π(·|S_t)) + β k_t, put together as `aggregation` says."""
        distribution = self.policy(batch.observations, batch.memory, batch.episode_starts)
        log_probs = distribution.log_prob(batch.actions)
        log_ratio = log_probs - batch.log_probs
        clip = self.current("clip")
        terms = clipped_surrogate(log_ratio, batch.advantages, clip, self.clip_high)
        entropy = distribution.entropy()
        loss = batch.sum(with_entropy(terms, entropy, self.current("entropy_weight")))
        loss = with_kl(loss, log_probs, batch, self.kl_penalty, self.current("kl_weight"))
        return loss, batch.means(policy_loss=terms, entropy=entropy, **ratio_metrics(log_ratio, clip, self.clip_high))
