"""What an agent is: networks, an optimizer, and a loss that is a pure function of (parameters, batch)."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from pg_agents.agents.common.compatibility import check_batch
from pg_agents.agents.common.config import SCHEDULED, check_hyperparameters, smaller_steps
from pg_agents.agents.common.files import write_agent
from pg_agents.agents.common.flat_optimizer import ADAM_EPSILON, FlatOptimizer, OptimizerName
from pg_agents.agents.common.gradient_accumulation import accumulated_loss, unit_of
from pg_agents.agents.common.make_agent import check_networks, defaults_for_env, make_agent
from pg_agents.agents.common.reward_scale import RewardScale
from pg_agents.checks import whole_number
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.minibatches import minibatches, without_idle_columns
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout, StepCadence
from pg_agents.data.tree import Tree
from pg_agents.distributions import draw
from pg_agents.policies import ActionCritic, Critic, Memory, Policy
from pg_agents.policies.acting import actions_of, memory_of, tensors_of
from pg_agents.policies.normalization import scales_of
from pg_agents.schedules import LinearSchedule, Scheduled, scheduled
from pg_agents.seeding import Purpose, spawn
from pg_agents.spaces.conversion import spaces_of

Metrics = dict[str, Tensor]


class Agent(nn.Module, ABC):
    """A policy that learns from rollouts.

    A subclass is its algorithm: `prepare` turns a rollout into what the loss needs and `forward` is the loss. Every
    constructor argument but the networks is also an attribute of the same name. Those marked "may be scheduled" take
    `LinearSchedule(start, end)` or "start:end" besides a number.

    Args:
        policy: π_θ.
        critic: V_ψ or Q_ψ, or None. Parameters that it shares with the policy are the policy's.
        **arguments: the hyperparameters, which each agent describes.
    """

    name: ClassVar[str]  # on the command line and in files
    policy_defaults: ClassVar[dict[str, dict[str, Any]]] = {}  # defaults of `for_env` for a kind of policy
    action_values: ClassVar[bool] = False  # whether its critic is Q(s,·) instead of V(s)
    differentiates_twice: ClassVar[bool] = False  # whether it needs second derivatives of its policy
    continuing: ClassVar[bool] = False  # whether it learns from tasks that never terminate, and from no others
    critic: Any  # V_ψ or Q_ψ, as the subclass's constructor says, or None
    epochs: int = 1  # passes over a batch in one update
    minibatch_size: int | None = None  # steps in a gradient step; None: the whole batch
    micro_batch_size: int | None = None  # steps that are differentiated at once; None: all of them

    def __init__(
        self,
        policy: Policy,
        critic: Critic | ActionCritic | None,
        *,
        learning_rate: Scheduled,
        critic_learning_rate: Scheduled | None = None,
        discount: float,
        max_grad_norm: float | None,
        normalize_rewards: bool,
        optimizer: OptimizerName,
        adam_epsilon: float = ADAM_EPSILON,
    ) -> None:
        super().__init__()
        check_networks(policy, critic)
        self.policy, self.critic = policy, critic
        self.learning_rate, self.critic_learning_rate = learning_rate, critic_learning_rate
        self.discount, self.max_grad_norm = discount, max_grad_norm
        self.normalize_rewards, self.optimizer, self.adam_epsilon = normalize_rewards, optimizer, adam_epsilon
        self.reward_scale = RewardScale(discount) if normalize_rewards else None
        self.observation_scales = scales_of(self)
        self.spaces: tuple[Any, Any] | None = None
        self.networks: dict[str, Any] = {}
        self.progress = 0.0  # the part of the run that is over, which schedules go by
        self.generator = torch.Generator().manual_seed(spawn(0, Purpose.MINIBATCHES))
        self.check()
        self.descent = FlatOptimizer(
            optimizer, policy, critic, together=critic_learning_rate is None, epsilon=adam_epsilon
        )

    @property
    @abstractmethod
    def cadence(self) -> StepCadence | EpisodeCadence:
        """What the agent learns from: so many steps of each environment, or whole episodes."""

    @abstractmethod
    def prepare(self, rollout: Rollout) -> tuple[Batch, Metrics]:
        """Return what the loss needs, computed from a rollout without gradients, and metrics."""

    @abstractmethod
    def forward(self, batch: Batch) -> tuple[Tensor, WeightedMetrics]:
        """Return the loss, Σ weights · term, and the means of its parts."""

    def should_stop_early(self, means: WeightedMetrics) -> bool:
        """Return whether the policy has moved so far from the one that acted that the update is to end here."""
        return False

    def update(self, rollout: Rollout) -> Metrics:
        """Learn from one rollout and return metrics: scalars by name.

        Raises FloatingPointError where the gradient is not finite; the parameters are as they were before that step.
        """
        if not math.isfinite(rollout.rewards.sum()):
            raise self._not_finite("a reward")
        metrics = self.learn(rollout) if rollout.mask.any() else {}  # nothing where no decision was taken
        for scale in self.observation_scales:  # now, and not before: what acted and what learned have seen the same
            scale.update(rollout.observations, rollout.mask)
        return metrics

    def learn(self, rollout: Rollout) -> Metrics:
        """Prepare the rollout and go down the gradient of its loss."""
        self.descent.refresh()
        with torch.no_grad():
            batch, metrics = self.prepare(self.reward_scale(rollout) if self.reward_scale else rollout)
        return metrics | (self.optimize(batch) if batch.weights.any() else {})

    def optimize(self, batch: Batch) -> Metrics:
        """Go down the gradient of the loss of `batch`, in `epochs` passes over its minibatches."""
        self.descent.set_learning_rates([self.current("learning_rate"), self.current("critic_learning_rate")])
        taken, norms = [], []
        for part in self.parts(without_idle_columns(batch)):
            loss, means = accumulated_loss(self, self.policy, part, self.micro_batch_size)
            taken.append(means)
            if self.should_stop_early(means):
                break
            norms.append(self.optimizer_step(loss))
        return dict(WeightedMetrics.joined(taken)) | (
            {"grad_norm": torch.tensor(sum(norms) / len(norms))} if norms else {}
        )

    def optimizer_step(self, loss: Tensor) -> float:
        """Take one step down the gradient of `loss`; return the gradient's norm before it was clipped."""
        norm = self.descent.step(loss, self.max_grad_norm)
        if not math.isfinite(norm):
            raise self._not_finite("the gradient")
        return norm

    def current(self, name: str) -> Any:  # noqa: ANN401
        """Return the value that the hyperparameter `name` has at this point of the run."""
        value = getattr(self, name)
        return value.at(self.progress) if isinstance(value, LinearSchedule) else value

    def parts(self, batch: Batch) -> Iterator[Batch]:
        """Yield the batch, or its minibatches, `epochs` times."""
        for _ in range(self.epochs):
            yield from [batch] if self.minibatch_size is None else self.split(batch, self.minibatch_size)

    def split(self, batch: Batch, size: int) -> Iterator[Batch]:
        """Return a random partition of the batch into parts of about `size` steps; see `minibatches`."""
        return minibatches(batch, size, self.generator, unit=unit_of(self.policy, batch))

    def _not_finite(self, what: str) -> FloatingPointError:
        what = f"{what} of {type(self).__name__} is not finite"
        return FloatingPointError(f"{what}; if the environment's rewards are, {smaller_steps(self.arguments)} may help")

    @torch.no_grad()
    def act(
        self,
        observation: Tree,
        memory: Memory = None,
        *,
        episode_starts: Any = None,  # noqa: ANN401
        greedy: bool = False,
        generator: torch.Generator | None = None,
    ) -> tuple[Any, Memory]:
        """Return an action for one observation, or actions [B, …] for a batch, and the memory for the next call.

        Args:
            observation: as an environment gives it, single or vector; with a mask {"observation": …, "action_mask": …}.
            memory: what the last call returned; None where episodes begin.
            episode_starts: where an episode of a batch begins, bool [B]: there a recurrent policy forgets.
            greedy: take the most probable action instead of sampling one.
            generator: to sample with; None: torch's default.

        Raises:
            ValueError: an observation of another shape, outside its space or not finite; a memory of others.
            FloatingPointError: the policy's distribution is not finite.
        """
        batch, count = tensors_of(observation, self.spaces, next(self.policy.parameters()).device)
        distribution, memory = self.policy.step(batch, memory_of(self.policy, memory, episode_starts, count))
        taken = draw(distribution, lambda row: f"for observation {row}", greedy=greedy, generator=generator)
        return actions_of(self.policy.unscale_action(taken), self.spaces, count), memory

    def save(self, path: str | Path) -> None:
        """Write the agent to the folder `path`: its arguments and spaces as JSON, its parameters as safetensors.

        What it takes to act and to be evaluated is there; the optimizer's state is not.
        """
        description = {"agent": self.name, "arguments": self.arguments, "networks": self.networks}
        write_agent(Path(path), description, self.spaces, self, self.policy.write_files)

    @classmethod
    def for_env(cls, env: Any, *, seed: int = 0, **arguments: Any) -> Self:  # noqa: ANN401
        """Return an agent with networks that suit the environment's spaces; `arguments` are the constructor's.

        Args:
            env: any Gymnasium environment, single or vector.
            seed: of the initial parameters and the order of minibatches; torch's global generator is left as it is.
            **arguments: the constructor's, and those of `make_networks` (hidden=…) or `language_networks` (policy=…).

        Raises:
            ValueError: for arguments out of range; UnsupportedSpaceError for spaces without a network.
        """
        agent = make_agent(
            cls, *spaces_of(env), whole_number("seed", seed), arguments, defaults_for_env(cls, env, arguments)
        )
        check_batch(agent.policy, agent.cadence, agent.minibatch_size, getattr(env, "num_envs", 1))
        return agent

    @classmethod
    def for_spaces(cls, observation_space: Any, action_space: Any, *, seed: int = 0, **arguments: Any) -> Self:  # noqa: ANN401
        """Return an agent with networks that suit the spaces of one environment; see `for_env`."""
        return make_agent(cls, observation_space, action_space, whole_number("seed", seed), arguments, {})

    @classmethod
    def defaults_for(cls, num_envs: int) -> dict[str, Any]:
        """Return the defaults of `for_env` that depend on the number of environments."""
        return {}

    @classmethod
    def argument_names(cls) -> list[str]:
        """Return the names of the constructor's hyperparameters."""
        return [name for name in inspect.signature(cls).parameters if name not in ("policy", "critic", "reference")]

    @property
    def arguments(self) -> dict[str, Any]:
        """The hyperparameters, by the names of the constructor's arguments."""
        return {name: getattr(self, name) for name in self.argument_names()}

    @classmethod
    def needs_critic(cls, arguments: dict[str, Any]) -> bool:
        """Return whether an agent with these constructor arguments has a critic."""
        return "critic" in inspect.signature(cls).parameters

    def check(self) -> None:
        """Raise ValueError for a hyperparameter that is out of range; a constructor that adds some calls it again."""
        for name in SCHEDULED:
            if name in vars(self):
                setattr(self, name, scheduled(name, vars(self)[name]))
        check_hyperparameters(vars(self), self.policy.num_learners)
