"""What a policy and a critic are."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pg_agents.data.rollout import Rollout
from pg_agents.data.tree import Tree
from pg_agents.distributions import Distribution
from pg_agents.renamed import POLICY, refuse_overrides

Memory = Any  # None, or whatever a policy carries from step to step: it is passed explicitly, the collector owns it


class Policy(nn.Module, ABC):
    """π_θ: observations → a distribution over actions.

    Attributes:
        num_learners: how many independent policies the rows of a batch belong to: 1, or B where environment b has
            parameters of its own. The losses of independent learners are summed, those of one learner averaged.
        recurrent: whether the memory carries something that the present observation does not; then learning needs it.
    """

    num_learners: int = 1
    recurrent: bool = False

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401
        super().__init_subclass__(**options)
        refuse_overrides(cls, POLICY)

    @abstractmethod
    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Distribution:
        """Return the distributions for observations [T, B, …] at once (learning).

        Args:
            observations: [T, B, …], as in a rollout.
            memory: before row 0.
            episode_starts: rows before which the memory is reset, [T, B].
        """

    def step(self, observation: Tree, memory: Memory = None) -> tuple[Distribution, Memory]:
        """Return the distribution for observations [B, …] and the memory after them (acting)."""
        return self.forward(observation), memory

    def write_files(self, folder: Path) -> None:  # noqa: B027 - most need none
        """Write what it takes to make this policy again, besides arguments and parameters, to `folder`; here: nothing.

        There is no such folder yet: who writes to it makes it.
        """

    @property
    def outputs(self) -> int | None:
        """How many numbers a distribution is made of, the same for policies of the same actions; None: not known."""
        head = getattr(self, "head", None)
        return getattr(head, "outputs", getattr(head, "out_features", None))

    def frozen_copy(self) -> Policy:
        """Return the policy as it is now, to be learned against: a copy without gradients.

        One that learns few of its parameters (adapters) may return what shares the others.
        """
        return copy.deepcopy(self).requires_grad_(False)

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return actions as sampled, [B, …], in the units of the environment; here: as they are."""
        return actions

    def reset_memory(self, memory: Memory, episode_starts: Tensor) -> Memory:
        """Return the memory with the rows reset in which an episode starts, bool [B]."""
        return memory


def check_learners(policy: Policy, num_envs: int, name: str = "env") -> None:
    """Raise ValueError where independent learners are not as many as the environments they act in."""
    learners = policy.num_learners
    if learners not in (1, num_envs):
        raise ValueError(
            f"{name}: num_learners must be the number of environments, {num_envs}, got {learners}; make {learners} "
            "environments, one for each learner"
        )


class Critic(nn.Module, ABC):
    """V_ψ: observations → values; the same arguments as a policy.

    Attributes:
        num_learners: as the policy's.
    """

    num_learners: int = 1

    @abstractmethod
    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return V(s) for observations [T, B, …] or [B, …], in the shape of their leading dimensions."""

    def of_columns(self, observations: Tree, columns: Tensor) -> Tensor:
        """Return V(s) for observations [K, …] that were seen in the environments `columns`, int64 [K]."""
        return self(observations)

    def of_rollout(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """Return V of a rollout's observations, [T, B], and of its final observations, [K].

        A critic with a memory gives the latter with what it remembers after their rows.
        """
        values = self(rollout.observations, rollout.memory, rollout.episode_starts)
        if not len(rollout.final_rows):
            return values, values.new_zeros(0)
        return values, self.of_columns(rollout.final_observations, rollout.final_rows[:, 1])


class ActionCritic(nn.Module, ABC):
    """Q_ψ(s,·): observations → a value for each of A actions; the same arguments as a policy.

    Attributes:
        num_learners: as the policy's.
    """

    num_learners: int = 1

    @abstractmethod
    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return Q(s,a) of all actions, [T, B, A], for observations [T, B, …]; [B, A] for [B, …]."""
