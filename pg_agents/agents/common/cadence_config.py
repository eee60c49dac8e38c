"""The options of agents that say when they learn: from steps, from whole episodes, from groups of these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pg_agents.agents.common.config import AdvantageConfig, AgentConfig, MicroBatchConfig, MinibatchConfig
from pg_agents.agents.common.groups import GROUP_SIZE, check_compared, fitting_group_size
from pg_agents.configuration import Count, Fraction, NonNegative, Positive, Scheduled, Several
from pg_agents.data.rollout import EpisodeCadence, StepCadence


@dataclass(frozen=True, kw_only=True)
class StepsConfig(AgentConfig):
    """The option of agents that learn from steps, wherever in their episodes these are."""

    num_steps: Count | None = 16
    """Steps of each environment between two updates; None: one whole episode of each."""

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """`num_steps` steps of each environment, or one whole episode of each."""
        return EpisodeCadence() if self.num_steps is None else StepCadence(self.num_steps)


@dataclass(frozen=True, kw_only=True)
class LongRolloutConfig(StepsConfig):
    """`StepsConfig` of agents that learn from about 2048 steps at a time."""

    num_steps: Count | None = 256
    """Steps of each environment between two updates; None: one whole episode of each. `for_env` takes 2048 divided by
    the number of environments; for tokens whole episodes, each of which is read once instead of once a token."""

    @classmethod
    def defaults_for(cls, num_envs: int) -> dict[str, Any]:
        """Return a number of steps that makes a rollout of about 2048."""
        return {"num_steps": max(1, 2048 // num_envs)}


@dataclass(frozen=True, kw_only=True)
class EveryStepConfig(AgentConfig):
    """For agents that learn from a step when the action after it is known; without options."""

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """One step of each environment, with the one before it in front."""
        return StepCadence(1, overlap=1)


@dataclass(frozen=True, kw_only=True)
class EpisodesConfig(MicroBatchConfig):
    """The options of agents that learn from whole episodes."""

    max_episode_steps: Count | None = None
    """Cut episodes at that many steps, for environments without a time limit."""

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """One whole episode of each environment."""
        return EpisodeCadence(self.max_episode_steps)


@dataclass(frozen=True, kw_only=True)
class GroupsConfig(EpisodesConfig):
    """The options of agents that compare the episodes of a group, which begin in the same state."""

    group_size: Several = GROUP_SIZE
    """G: environments in succession that begin alike; `for_env` takes the largest up to 8 that divides their number."""

    compares_episodes = True

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """One whole episode of each environment, which begin alike in groups of `group_size`."""
        return EpisodeCadence(self.max_episode_steps, self.group_size)

    @classmethod
    def defaults_for(cls, num_envs: int) -> dict[str, Any]:
        """Return a size of groups that divides the number of environments."""
        return {"group_size": fitting_group_size(num_envs)}

    def check_learners(self, num_learners: int) -> None:
        """Raise ValueError for independent learners: an episode is compared with those of the same policy."""
        check_compared(num_learners)


@dataclass(frozen=True, kw_only=True)
class NaturalConfig(LongRolloutConfig, MinibatchConfig, AdvantageConfig):
    """The options of agents whose policy takes natural steps; the critic takes those of Adam."""

    minibatch_size: Several | None = 128
    critic_learning_rate: Scheduled[Positive] = 1e-3
    """Step size of the critic."""
    normalize_advantages: bool = True
    max_kl: Positive = 0.01
    """δ: how far a step moves the policy, as KL divergence in nats."""
    cg_iterations: Count = 10
    """Iterations of conjugate gradients, at most."""
    fisher_fraction: Fraction = 1.0
    """The part of the steps that F is an average over; less than 1 saves time with large networks."""
    damping: NonNegative = 0.1
    """λ: F + λI stands for F in the step."""

    def check_learners(self, num_learners: int) -> None:
        """Raise ValueError for independent learners: a step of a given KL divergence is one policy's."""
        if num_learners > 1:
            raise ValueError(
                f"policy: one step of a given KL would couple its {num_learners} independent learners; use "
                "num_learners=1, or an agent that takes plain gradient steps"
            )
