"""REINFORCE with a baseline."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from torch import Tensor

from pg_agents.agents.base import ADAM_EPSILON, Agent, Metrics, OptimizerName
from pg_agents.agents.common.advantages import Signal, monte_carlo
from pg_agents.agents.common.baselines import Baseline, BatchMean, Constant, RunningAverage
from pg_agents.agents.common.kl_regularization import KLPenalty, beside_reference, make_reference, penalized, with_kl
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout
from pg_agents.functional.losses import mean_over_episodes, policy_gradient, squared_error, with_entropy
from pg_agents.functional.returns import explained_variance, standardize
from pg_agents.policies import Critic, Policy
from pg_agents.schedules import Scheduled

BaselineName = Literal["value", "running-average", "batch-mean", "constant"]


class ReinforceBaseline(Agent):
    """REINFORCE with a baseline: reinforce by how much better than expected the return was.

        θ ← θ + α (1/n) Σ_i Σ_t (G_t − b) ∇ ln π_θ(A_t|S_t)

    A baseline that does not see the action leaves the expected gradient alone and, chosen well, lowers its variance.
    Episodes and truncation are treated as in `Reinforce`.

    Args:
        policy: π_θ.
        critic: V_ψ, for baseline="value"; it regresses on the returns.
        reference: π_ref, frozen; None with kl_weight above 0: the policy as it is at the start.
        baseline: "value" V_ψ(S_t); "running-average" of all earlier returns; "batch-mean" of the batch's returns at the
            same time step (scales the expected gradient by (n − 1)/n: with one environment nothing is learned);
            "constant".
        constant: the value of a constant baseline.
        learning_rate: α of the policy; may be scheduled.
        critic_learning_rate: β of the critic; None: the policy's; may be scheduled.
        discount: γ, between 0 and 1.
        signal: the return, as in `Reinforce`.
        entropy_weight: of the policy's entropy, added to what is maximised; may be scheduled.
        kl_weight: β of the KL divergence from `reference`, taken off what is maximised; may be scheduled.
        kl_penalty: where: "reward", from each step's reward, which is unbiased; "k2-loss" or "k3-loss", in the loss,
            biased by what `pg_agents.agents.common.kl_regularization` says.
        normalize_advantages: standardise G − b over the batch.
        normalize_rewards: divide rewards by a running standard deviation of the discounted return.
        micro_batch_size: steps differentiated at once, to save memory; the step is the same; None: all of them.
        max_grad_norm: longer gradients are scaled down to this norm; None: never.
        max_episode_steps: cut episodes at that many steps, for environments without a time limit.
        optimizer: "adam", "rmsprop" or "sgd".
        adam_epsilon: ε of Adam, which is added to the root that its steps are divided by.

    Raises:
        ValueError: for arguments out of range; baseline="value" without a critic, or another with one; "batch-mean"
            with independent learners, who share no batch.

    Reference: Williams (1992); Sutton & Barto (2018), section 13.4.
    """

    name = "reinforce-baseline"
    policy_defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "TabularPolicy": {"learning_rate": 0.1},
        "TransformerPolicy": {"learning_rate": 1e-3},
    }

    def __init__(
        self,
        *,
        policy: Policy,
        critic: Critic | None = None,
        reference: Policy | None = None,
        baseline: BaselineName = "value",
        constant: float = 0.0,
        learning_rate: Scheduled = 3e-3,
        critic_learning_rate: Scheduled | None = None,
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
            critic,
            learning_rate=learning_rate,
            critic_learning_rate=critic_learning_rate,
            discount=discount,
            max_grad_norm=max_grad_norm,
            normalize_rewards=normalize_rewards,
            optimizer=optimizer,
            adam_epsilon=adam_epsilon,
        )
        self.baseline: BaselineName = baseline
        self.constant = constant
        self.signal: Signal = signal
        self.entropy_weight, self.kl_weight = entropy_weight, kl_weight
        self.kl_penalty: KLPenalty = kl_penalty
        self.normalize_advantages = normalize_advantages
        self.max_episode_steps = max_episode_steps
        self.micro_batch_size = micro_batch_size
        self.check()
        self.reference = make_reference(policy, reference, self.kl_weight, self.cadence)
        self.compare = self._baseline()

    @property
    def cadence(self) -> EpisodeCadence:
        """One whole episode of each environment."""
        return EpisodeCadence(self.max_episode_steps)

    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Compute G − b, and what the critic learns from."""
        rollout, metrics = beside_reference(rollout, self.reference, self.micro_batch_size)
        rollout = penalized(rollout, self.kl_penalty, self.current("kl_weight"))
        returns, time_weights = monte_carlo(self.signal, rollout, self.discount)
        if self.compare is not None:
            baseline = self.compare(rollout, returns)
        else:
            assert self.critic is not None
            baseline = self.critic(rollout.observations, rollout.memory, rollout.episode_starts)
            metrics["explained_variance"] = explained_variance(baseline, returns, rollout.mask)
        advantages = returns - baseline
        if self.normalize_advantages:
            advantages = standardize(advantages, rollout.mask, less=baseline)
        weights = mean_over_episodes(rollout.mask, self.policy.num_learners, rollout.rewards.dtype)
        return Batch.of(rollout, advantages=time_weights * advantages, weights=weights, targets=returns), metrics

    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return Σ_t [−(G_t − b) ln π(A_t|S_t) − η H(π(·|S_t)) + β k_t + ½ (V(S_t) − G_t)²], averaged over episodes."""
        distribution = self.policy(batch.observations, batch.memory, batch.episode_starts)
        log_probs, entropy = distribution.log_prob(batch.actions), distribution.entropy()
        terms = policy_gradient(log_probs, batch.advantages)
        loss = batch.sum(with_entropy(terms, entropy, self.current("entropy_weight")))
        loss = with_kl(loss, log_probs, batch, self.kl_penalty, self.current("kl_weight"))
        if self.critic is None or batch.targets is None:
            return loss, batch.means(policy_loss=terms, entropy=entropy)
        errors = squared_error(self.critic(batch.observations, batch.memory, batch.episode_starts), batch.targets)
        return loss + batch.sum(errors), batch.means(policy_loss=terms, entropy=entropy, value_loss=errors)

    @classmethod
    def needs_critic(cls, arguments: dict[str, Any]) -> bool:
        """Return whether the baseline is a value function."""
        return arguments.get("baseline", "value") == "value"

    def _baseline(self) -> Baseline | None:
        """Return the baseline that is not a critic, None where it is one."""
        learners = self.policy.num_learners
        known = ("value", "running-average", "batch-mean", "constant")
        if self.baseline not in known:
            raise ValueError(f"baseline must be one of {', '.join(known)}, got {self.baseline!r}")
        if (self.baseline == "value") != (self.critic is not None):
            raise ValueError(f"baseline={self.baseline!r} with critic={self.critic}: a critic goes with 'value' alone")
        if self.baseline == "batch-mean" and learners > 1:
            raise ValueError(f"baseline='batch-mean' needs a batch, and each of {learners} learners has one episode")
        others: dict[str, Baseline] = {
            "constant": Constant(self.constant),
            "batch-mean": BatchMean(),
            "running-average": RunningAverage(learners),
        }
        return others.get(self.baseline)
