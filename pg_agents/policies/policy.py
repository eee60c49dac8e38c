"""The interfaces of policies and critics."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pg_agents._fast.one_pass import values_of
from pg_agents.data.learners import Columns
from pg_agents.data.rollout import Rollout
from pg_agents.data.tree import Tree
from pg_agents.distributions import Distribution
from pg_agents.renamed import POLICY, refuse_overrides

Memory = Any  # what a policy carries from step to step, or None; it is passed explicitly, and the actor owns it


class Policy(nn.Module, ABC):
    """π_θ: observations → a distribution over actions.

    Attributes:
        num_learners: L, the number of independent policies, each with environments of its own (see `data.learners`).
            The losses of independent learners are summed, those of one learner averaged.
        recurrent: whether the memory holds information that the current observation lacks, so that learning needs it.
    """

    num_learners: int = 1
    recurrent: bool = False

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**options)
        refuse_overrides(cls, POLICY)

    @abstractmethod
    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Distribution:
        """Return the distributions for the observations of a rollout, [T, B, …] (for learning).

        Args:
            observations: [T, B, …], as in a rollout.
            memory: the memory before row 0.
            episode_starts: rows before which the memory is reset, [T, B].
        """

    def step(self, observation: Tree, memory: Memory = None) -> tuple[Distribution, Memory]:
        """Return the distributions for observations [B, …], and the memory after them (for acting)."""
        return self.forward(observation), memory

    def encode(self, observations: Tree) -> Tree:
        """Return observations [B, …] in the form that `step` takes; as `Encoded`, if a critic shares the encoder."""
        return observations

    @property
    def encoder_version(self) -> Any:  # noqa: ANN401
        """What tells two states of an encoder apart that a critic shares; None: there is none."""
        encoder: Any = getattr(self, "encoder", None)
        return encoder.version() if getattr(encoder, "shared", False) else None

    def write_files(self, folder: Path) -> None:  # noqa: B027 - most policies need no files
        """Write files that loading needs in addition to arguments and parameters to `folder`; the default writes none.

        The folder does not exist yet: an implementation creates it.
        """

    @property
    def outputs(self) -> int | None:
        """The number of parameters of a distribution, equal for policies with the same actions; None: unknown."""
        head = getattr(self, "head", None)
        return getattr(head, "outputs", getattr(head, "out_features", None))

    def frozen_copy(self) -> Policy:
        """Return a copy of the current policy without gradients, to serve as a reference.

        A policy that trains only adapters may return one that shares the other parameters.
        """
        return copy.deepcopy(self).requires_grad_(False)

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return sampled actions, [B, …], in the units of the environment; the default returns them unchanged."""
        return actions

    def reset_memory(self, memory: Memory, episode_starts: Tensor) -> Memory:
        """Return the memory with the rows reset in which an episode starts, bool [B]."""
        return memory


def check_learners(policy: Policy, num_envs: int, name: str = "env") -> None:
    """Raise ValueError if the environments cannot be shared out among the independent learners."""
    learners = policy.num_learners
    if num_envs % learners:
        raise ValueError(
            f"{name}: {num_envs} environments cannot be shared out among num_learners={learners}; make {learners} of "
            "them, or a multiple"
        )


def shape_of(values: Any) -> str:  # noqa: ANN401
    """Return the shape of a tensor as text, or what it is instead."""
    return str(list(values.shape)) if isinstance(values, Tensor) else f"a {type(values).__name__}"


class Critic(nn.Module, ABC):
    """V_ψ: observations → values; the same arguments as a policy.

    Attributes:
        num_learners: as the policy's.
        shared_encoder: the policy's encoder, if the critic shares it; it is trained and saved with the policy.
    """

    num_learners: int = 1
    shared_encoder: Any = None

    def __call__(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return `forward`'s values; ValueError unless there is one for each step."""
        values = super().__call__(observations, memory, episode_starts)
        if episode_starts is not None and getattr(values, "shape", None) != episode_starts.shape:
            shape = list(episode_starts.shape)
            raise ValueError(
                f"critic: {type(self).__name__} returned {shape_of(values)} for observations of the steps {shape}, "
                f"expected {shape}, one value for each step (values.squeeze(-1))"
            )
        return values

    @abstractmethod
    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return V(s) for observations [T, B, …] or [B, …], in the shape of their leading dimensions."""

    def seen(self, rollout: Rollout) -> Tree:
        """Return a rollout's observations in the form that `forward` takes; the default returns them unchanged."""
        return rollout.observations

    def of_rollout(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """Return V of a rollout's observations, [T, B], and of its final observations, [K].

        A critic with a memory uses the memory after `final_rows` for the latter.
        """
        values = values_of(self, self.seen(rollout), rollout.memory, rollout.episode_starts)
        if not len(rollout.final_rows):
            return values, values.new_zeros(0)
        if self.num_learners == 1:
            return values, self(rollout.final_observations)
        return values, self.of_final_observations(rollout)

    def of_final_observations(self, rollout: Rollout) -> Tensor:
        """Return V of a rollout's final observations, [K], of several learners."""
        columns = Columns.for_final_rows(rollout.final_rows, rollout.rewards.shape, self.num_learners)
        return self(columns.of(rollout.final_observations))[columns.places]


class ActionCritic(nn.Module, ABC):
    """Q_ψ(s,·): observations → a value for each of A actions; the same arguments as a policy.

    Attributes:
        num_learners: as the policy's.
        shared_encoder: the policy's encoder, if the critic shares it.
    """

    num_learners: int = 1
    shared_encoder: Any = None

    @abstractmethod
    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return Q(s,a) of all actions, [T, B, A], for observations [T, B, …]; [B, A] for [B, …]."""
