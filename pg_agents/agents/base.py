"""Agents: networks, a configuration, an optimizer, and a loss that is a pure function of a batch."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from pg_agents._fast.one_pass import one_pass, values_of
from pg_agents.agents.acting import Acting
from pg_agents.agents.common.flat_optimizer import FlatOptimizer
from pg_agents.agents.common.gradient_accumulation import accumulated_loss, is_whole, unit_of
from pg_agents.agents.common.kl_regularization import (
    beside_reference,
    make_reference,
    penalized,
    penalty_to_go,
    with_kl,
)
from pg_agents.agents.common.learners import optimize_learners
from pg_agents.agents.common.make_agent import check_needs, check_networks, check_sharing
from pg_agents.agents.common.overlap import Overlap
from pg_agents.agents.common.refused import not_finite, remember, statistics_of
from pg_agents.agents.common.reward_scale import RewardScale
from pg_agents.agents.common.sharded_optimizer import ShardedOptimizer
from pg_agents.agents.construction import C
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.minibatches import minibatches, without_idle_columns
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout, StepCadence
from pg_agents.data.shares import ALONE, Ranks, whole_of
from pg_agents.distributions import Distribution
from pg_agents.functional.losses import with_entropy
from pg_agents.generators import make_generators
from pg_agents.policies import ActionCritic, Critic, Policy
from pg_agents.policies.normalization import scales_of
from pg_agents.policies.own_networks import without_noise
from pg_agents.renamed import AGENT, refuse_overrides
from pg_agents.seeding import Purpose, spawn

Metrics = dict[str, Tensor]


class Agent(Acting[C], ABC):
    """A policy that learns from rollouts.

    A subclass is an algorithm: `prepare` turns a rollout into a batch, `loss` is the loss of a batch. Its options are
    the fields of its configuration, a dataclass: `class PPO(Agent[PPOConfig])`; they can be read as attributes too.

    Args:
        policy: π_θ.
        critic: V_ψ or Q_ψ, for agents that have one. Parameters shared with the policy learn at the policy's rate.
        reference: π_ref, frozen, for agents with a KL penalty; None with kl_weight above 0: a copy of the policy.
        config: the configuration; None: the defaults. `options` are changed in it.

    Raises:
        ValueError: an option is out of range, or the networks do not fit the agent.
        TypeError: there is no such option.
    """

    continuing: ClassVar[bool] = False  # whether it learns only from tasks that never terminate
    critic: Any  # V_ψ, Q_ψ or None

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**options)
        refuse_overrides(cls, AGENT)

    def __init__(
        self,
        *,
        policy: Policy,
        critic: Critic | ActionCritic | None = None,
        reference: Policy | None = None,
        config: C | None = None,
        **options: Any,  # noqa: ANN401
    ) -> None:
        super().__init__()
        check_networks(policy, critic)
        without_noise(policy)
        form, self.config = self.form(), self.configuration(config, options)
        check_needs(form, self.config, policy, critic, reference)
        self.config.check_learners(policy.num_learners)
        self.policy, self.critic = policy, critic
        scaling = self.current("discount"), policy.num_learners
        self.reward_scale = RewardScale(*scaling) if self.current("normalize_rewards") else None
        self.observation_scales = scales_of(self)
        weight = getattr(self.config, "kl_weight", 0.0)  # also one that begins at 0
        self.reference = make_reference(policy, reference, weight, self.cadence)
        self.spaces: tuple[Any, Any] | None = None
        self.networks: dict[str, Any] = {}
        self.seeds = range(policy.num_learners)
        self.generator = make_generators([spawn(seed, Purpose.MINIBATCHES) for seed in self.seeds])
        self.overlap = Overlap(getattr(self.cadence, "overlap", 0))
        self.flat_optimizer: FlatOptimizer | ShardedOptimizer = self.make_optimizer()
        self.ranks: Ranks = ALONE

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """How much an update learns from: a number of steps of each environment, or whole episodes."""
        return self.config.cadence

    # -- the algorithm, which a subclass defines, and its building blocks
    @abstractmethod
    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Return the batch for the loss, computed from a rollout without gradients, and metrics.

        A KL penalty in the rewards is already subtracted from them, unless episodes are compared (`kl_to_go`).
        """

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return the loss, Σ weights · term, and the means of its parts."""

    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return `loss(batch)`; torch.func and wrappers of modules call this."""
        return self.loss(batch)

    def distribution(self, data: Batch | Rollout) -> Distribution:
        """Return π_θ(·|S_t) at every step of a batch or a rollout."""
        return self.policy(data.observations, data.memory, data.episode_starts)

    def values(self, data: Batch | Rollout) -> Tensor:
        """Return the critic's values at every step of a batch or a rollout: V [T, B], or Q [T, B, A]."""
        return values_of(self.critic, data.observations, data.memory, data.episode_starts)

    def outputs(self, data: Batch | Rollout) -> tuple[Distribution, Any]:
        """Return `distribution` and `values` at every step, None without a critic; a shared encoder runs once."""
        if self.critic is None:
            return self.distribution(data), None
        if (encoder := self.critic.shared_encoder) is not None:
            check_sharing(self.policy, self.critic)
            data = replace(data, observations=encoder.encode(data.observations))
        return self.distribution(data), self.values(data)

    def regularized(
        self, batch: Batch, terms: Tensor, policy: Distribution, log_probs: Tensor, **metrics: Tensor
    ) -> tuple[Tensor, WeightedMetrics]:
        """Return Σ weights · (term − η H(π_θ(·|S_t)) + β k_t), and the means of `metrics` and the entropy.

        Args:
            batch: the batch, with the weights.
            terms: terms of the loss, [T, B].
            policy: π_θ(·|S_t).
            log_probs: ln π_θ(A_t|S_t), [T, B].
            **metrics: values whose means are reported, [T, B].
        """
        entropy = policy.entropy()
        loss = batch.sum(with_entropy(terms, entropy, self.current("entropy_weight", batch)))
        loss = with_kl(loss, log_probs, batch, self.current("kl_penalty"), self.current("kl_weight", batch))
        return loss, batch.means(**metrics, entropy=entropy)

    def kl_to_go(self, rollout: Rollout) -> Tensor | float:
        """Return the KL penalty that is subtracted from a compared episode's advantage at each step, [T, B]."""
        weight, discount = self.current("kl_weight", rollout), self.current("discount", rollout)
        return penalty_to_go(rollout, self.current("kl_penalty"), weight, discount)

    def should_stop_early(self, means: WeightedMetrics) -> Tensor | bool:
        """Return whether the update ends here, as the policy has moved too far from π_old; of learners bool [L]."""
        return False

    def finish(self, metrics: Metrics) -> Metrics:
        """Return an update's metrics; an agent may also update here what is not a parameter."""
        return metrics

    def make_optimizer(self) -> FlatOptimizer:
        """Return the optimizer of the policy's and the critic's parameters."""
        together = self.current("critic_learning_rate") is None
        how: dict[str, Any] = {"epsilon": self.config.adam_epsilon, "num_learners": self.policy.num_learners}
        return FlatOptimizer(self.current("optimizer"), self.policy, self.critic, together=together, **how)

    @final
    def update(self, rollout: Rollout) -> Metrics:
        """Learn from one rollout and return metrics by name: scalars, or [L] of several learners.

        Raises:
            FloatingPointError: a reward or the gradient is not finite; parameters are as before that step, and running
                statistics as before the update.
        """
        rollout = whole_of(rollout, self.ranks)
        if not math.isfinite(rollout.rewards.sum()):
            raise self.not_finite("a reward")
        if self.policy.num_learners > 1:
            rollout = replace(rollout, num_learners=self.policy.num_learners)
        with one_pass(self.critic if type(self).optimize is Agent.optimize and is_whole(self) else None):
            metrics = self._learn(rollout) if rollout.mask.any() else {}  # without a decision nothing is to learn from
        for scale in self.observation_scales:  # only now: acting and learning used the same statistics
            scale.update(rollout.observations, rollout.mine.mask, self.ranks)
        return metrics

    def _learn(self, rollout: Rollout) -> Metrics:
        self.flat_optimizer.refresh()
        put_back = remember(self.overlap, statistics_of(self))
        try:
            with torch.no_grad():
                rollout = self.overlap(rollout)
                batch, metrics = self.prepared(self.reward_scale(rollout) if self.reward_scale else rollout)
            with self.flat_optimizer.learning(self.ranks):
                learned = self.optimize(batch.mine) if batch.has_weight else {}
            return self.finish(metrics | learned)
        except FloatingPointError:
            put_back()
            raise

    def prepared(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Return `prepare` of a rollout with reference log-probabilities and penalised rewards, and all metrics."""
        rollout, metrics = beside_reference(rollout, self.reference, self.current("micro_batch_size"))
        if not self.config.compares_episodes:
            rollout = penalized(rollout, self.current("kl_penalty"), self.current("kl_weight", rollout))
        batch, more = self.prepare(rollout)
        return batch, metrics | more

    def optimize(self, batch: Batch) -> Metrics:
        """Minimise the loss of `batch` by gradient steps, in `epochs` passes over its minibatches."""
        self.flat_optimizer.set_learning_rates([self.current("learning_rate"), self.current("critic_learning_rate")])
        if self.policy.num_learners > 1:
            return optimize_learners(self, without_idle_columns(batch))
        taken, norms = [], []
        for part in self.parts(without_idle_columns(batch)):
            loss, means = accumulated_loss(self, self.policy, part, self.current("micro_batch_size"))
            taken.append(means)
            if self.should_stop_early(means):
                break
            norms.append(self.optimizer_step(loss))
        grad_norm = {"grad_norm": torch.tensor(sum(norms) / len(norms))} if norms else {}
        return dict(WeightedMetrics.joined(taken)) | grad_norm

    def optimizer_step(self, loss: Tensor) -> float:
        """Take one step down the gradient of `loss`; return the gradient's norm before clipping."""
        norm: Any = self.flat_optimizer.step(loss, self.current("max_grad_norm"), ranks=self.ranks)
        if not math.isfinite(norm):
            raise self.not_finite("the gradient")
        return norm

    def parts(self, batch: Batch) -> Iterator[Batch]:
        """Yield the batch, or its minibatches, `epochs` times."""
        size = self.current("minibatch_size")
        for _ in range(self.current("epochs")):
            yield from [batch] if size is None else self.split(batch, size)

    def split(self, batch: Batch, size: int) -> Iterator[Batch]:
        """Return a random partition of the batch into parts of about `size` steps; see `minibatches`."""
        return minibatches(batch, size, self.generator, unit=unit_of(self.policy, batch))

    def not_finite(self, what: str) -> FloatingPointError:
        """Return the error for a reward or a gradient that is not finite; it names options that may help."""
        return not_finite(self, what)
