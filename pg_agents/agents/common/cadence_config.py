"""Options for how much an update learns from: steps, whole episodes, or groups of episodes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from pg_agents.agents.common.config import AdvantageConfig, AgentConfig, MicroBatchConfig, MinibatchConfig
from pg_agents.agents.common.groups import GROUP_SIZE, fitting_group_size
from pg_agents.configuration import Count, Fraction, NonNegative, Positive, Scheduled, Several
from pg_agents.data.rollout import EpisodeCadence, StepCadence
from pg_agents.search import Among, Around


@dataclass(frozen=True, kw_only=True)
class StepsConfig(AgentConfig):
    """The option of agents that learn from steps, at any point of an episode."""

    num_steps: Annotated[Count | None, Among(8, 16, 32, 64, 128, 256, 512, 1024)] = 16
    """Steps of each environment per update; None: one whole episode of each."""

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """`num_steps` steps of each environment, or one whole episode of each."""
        return EpisodeCadence() if self.num_steps is None else StepCadence(self.num_steps)


@dataclass(frozen=True, kw_only=True)
class LongRolloutConfig(StepsConfig):
    """`StepsConfig` of agents that learn from about 2048 steps at a time."""

    num_steps: Count | None = 256
    """Steps of each environment per update; None: one whole episode of each. By default 2048 divided by the number of
    environments; for tokens whole episodes, so that a text is read once instead of once per token."""

    @classmethod
    def defaults_for(cls, num_envs: int) -> dict[str, Any]:
        """Return the number of steps for a rollout of about 2048 steps in total."""
        return {"num_steps": max(1, 2048 // num_envs)}


@dataclass(frozen=True, kw_only=True)
class EveryStepConfig(AgentConfig):
    """For agents that learn from each step once the next action is known; it has no options."""

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """One step of each environment, after the step before it."""
        return StepCadence(1, overlap=1)


@dataclass(frozen=True, kw_only=True)
class EpisodesConfig(MicroBatchConfig):
    """The options of agents that learn from whole episodes."""

    max_episode_steps: Count | None = None
    """Cut episodes at this many steps, for environments without a time limit."""

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """One whole episode of each environment."""
        return EpisodeCadence(self.max_episode_steps)


@dataclass(frozen=True, kw_only=True)
class GroupsConfig(EpisodesConfig):
    """The options of agents that compare the episodes of a group, which begin in the same state."""

    group_size: Several = GROUP_SIZE
    """G: consecutive environments that begin in the same state; by default the largest divisor, up to 8, of all, or of
    those of each learner."""

    compares_episodes = True

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """One whole episode of each environment; `group_size` consecutive ones begin in the same state."""
        return EpisodeCadence(self.max_episode_steps, self.group_size)

    @classmethod
    def defaults_for(cls, num_envs: int) -> dict[str, Any]:
        """Return a group size that divides the number of environments."""
        return {"group_size": fitting_group_size(num_envs)}


@dataclass(frozen=True, kw_only=True)
class NaturalConfig(LongRolloutConfig, MinibatchConfig, AdvantageConfig):
    """The options of agents whose policy takes natural-gradient steps, and whose critic learns with Adam."""

    minibatch_size: Several | None = 128
    critic_learning_rate: Scheduled[Positive] = 1e-3
    """Step size of the critic's updates."""
    normalize_advantages: bool = True
    max_kl: Annotated[Positive, Around(10)] = 0.01
    """δ: how far a step moves the policy, as KL divergence in nats."""
    cg_iterations: Count = 10
    """Most iterations of the conjugate-gradient method."""
    fisher_fraction: Fraction = 1.0
    """Fraction of the steps from which the Fisher matrix F is computed; below 1 saves time with large networks."""
    damping: Annotated[NonNegative, Around(10)] = 0.1
    """λ: added to the diagonal of the Fisher matrix F, which keeps steps short."""

    def check_learners(self, num_learners: int) -> None:
        """Raise ValueError for independent learners: a step's KL divergence is that of one policy."""
        super().check_learners(num_learners)
        if num_learners > 1:
            raise ValueError(
                f"num_learners must be 1, got {num_learners}: a natural gradient needs conjugate gradients and a line "
                "search for each learner; train seeds in processes (pg-agents train … --seeds), or take another agent"
            )
