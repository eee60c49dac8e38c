"""The actor-critic with TD value."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from pg_agents.agents.base import ADAM_EPSILON, Agent, Metrics, OptimizerName
from pg_agents.agents.common.advantages import fit, state_values, time_weights
from pg_agents.agents.common.kl_regularization import KLPenalty, beside_reference, make_reference, penalized, with_kl
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout, StepCadence, steps_or_episodes
from pg_agents.functional.losses import mean_over_steps, policy_gradient, squared_error, with_entropy
from pg_agents.functional.returns import bootstrapped_returns, standardize
from pg_agents.policies import Critic, Policy
from pg_agents.schedules import Scheduled


class ActorCritic(Agent):
    """Actor-critic with TD value: reinforce with the temporal difference, as soon as the next state is seen.

        δ_t = R_{t+1} + γ V_ψ(S_{t+1}) − V_ψ(S_t)
        θ ← θ + α δ_t ∇ ln π_θ(A_t|S_t),   ψ ← ψ + β δ_t ∇ V_ψ(S_t)

    averaged over the environments. With num_steps = n > 1 an update uses n steps of each environment and R_{t+1} + γ V
    becomes the longest return those contain: n steps for the first of them, one for the last. Where an episode
    terminated V is 0; where it was truncated V of its final observation stands for what was cut. With a learned V the
    expected update is not exactly a gradient of the return.

    Args:
        policy: π_θ.
        critic: V_ψ.
        reference: π_ref, frozen; None with kl_weight above 0: the policy as it is at the start.
        num_steps: n, between updates; None: one whole episode of each environment.
        learning_rate: α of the policy; may be scheduled.
        critic_learning_rate: β of the critic; None: the policy's; may be scheduled.
        discount: γ, between 0 and 1.
        discounted_time: weight the update at time t of an episode by γ^t, as the discounted return's gradient asks.
        entropy_weight: of the policy's entropy, added to what is maximised; may be scheduled.
        kl_weight: β of the KL divergence from `reference`, taken off what is maximised; may be scheduled.
        kl_penalty: where: "reward", from each step's reward, which is unbiased; "k2-loss" or "k3-loss", in the loss,
            biased by what `pg_agents.agents.common.kl_regularization` says.
        normalize_advantages: standardise δ over the batch.
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        max_grad_norm: longer gradients are scaled down to this norm; None: never.
        optimizer: "adam", "rmsprop" or "sgd".
        adam_epsilon: ε of Adam, which is added to the root that its steps are divided by.

    Raises:
        ValueError: for arguments out of range.

    Reference: Sutton & Barto (2018), section 13.5; Mnih et al. (2016) for n steps.
    """

    name = "actor-critic"
    policy_defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "TabularPolicy": {"learning_rate": 0.01, "critic_learning_rate": 0.1},
        "TransformerPolicy": {"learning_rate": 1e-3, "critic_learning_rate": 3e-3},
        "GRUPolicy": {"num_steps": 32, "learning_rate": 3e-3, "critic_learning_rate": 3e-3},
    }

    def __init__(
        self,
        *,
        policy: Policy,
        critic: Critic,
        reference: Policy | None = None,
        num_steps: int | None = 1,
        learning_rate: Scheduled = 3e-4,
        critic_learning_rate: Scheduled | None = 1e-3,
        discount: float = 0.99,
        discounted_time: bool = False,
        entropy_weight: Scheduled = 0.0,
        kl_weight: Scheduled = 0.0,
        kl_penalty: KLPenalty = "reward",
        normalize_advantages: bool = False,
        normalize_rewards: bool = False,
        max_grad_norm: float | None = None,
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
        self.num_steps = num_steps
        self.discounted_time = discounted_time
        self.entropy_weight, self.kl_weight = entropy_weight, kl_weight
        self.kl_penalty: KLPenalty = kl_penalty
        self.normalize_advantages = normalize_advantages
        self.check()
        self.reference = make_reference(policy, reference, self.kl_weight, self.cadence)

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """`num_steps` steps of each environment, or one whole episode of each."""
        return steps_or_episodes(self.num_steps)

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute the bootstrapped returns and δ."""
        rollout, metrics = beside_reference(rollout, self.reference, self.micro_batch_size)
        rollout = penalized(rollout, self.kl_penalty, self.current("kl_weight"))
        assert self.critic is not None
        values, next_values = state_values(self.critic, rollout)
        ends = rollout.terminated, rollout.truncated
        targets = bootstrapped_returns(rollout.rewards, next_values, *ends, self.discount, 1.0)
        advantages = targets - values
        if self.normalize_advantages:
            advantages = standardize(advantages, rollout.mask, less=values)
        if self.discounted_time:
            advantages = time_weights(rollout, self.discount) * advantages
        weights = mean_over_steps(rollout.mask, self.policy.num_learners, rollout.rewards.dtype)
        metrics["explained_variance"] = fit(values, targets, rollout)
        return Batch.of(rollout, advantages=advantages, weights=weights, targets=targets), metrics

    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return −δ_t ln π(A_t|S_t) − η H(π(·|S_t)) + β k_t + ½ (V(S_t) − G_t)², averaged over steps."""
        assert self.critic is not None and batch.targets is not None
        distribution = self.policy(batch.observations, batch.memory, batch.episode_starts)
        values = self.critic(batch.observations, batch.memory, batch.episode_starts)
        log_probs = distribution.log_prob(batch.actions)
        terms = policy_gradient(log_probs, batch.advantages)
        errors, entropy = squared_error(values, batch.targets), distribution.entropy()
        loss = batch.sum(with_entropy(terms + errors, entropy, self.current("entropy_weight")))
        loss = with_kl(loss, log_probs, batch, self.kl_penalty, self.current("kl_weight"))
        return loss, batch.means(policy_loss=terms, value_loss=errors, entropy=entropy)
