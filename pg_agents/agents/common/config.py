"""Options that several agents have in common, each written once.

An agent's configuration inherits the options that it has and may change their defaults. Only configurations, which are
data, are inherited: no agent inherits from another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pg_agents.agents.common.kl_regularization import KLPenalty
from pg_agents.agents.common.optimizers import ADAM_EPSILON, OptimizerName
from pg_agents.configuration import (
    Configuration,
    Count,
    Each,
    Fixed,
    NonNegative,
    Positive,
    PositiveOrInfinite,
    Scheduled,
    Several,
    UnitInterval,
)
from pg_agents.data.rollout import EpisodeCadence, StepCadence
from pg_agents.search import Among, Around, OnOrOff
from pg_agents.shown import shortened

ClipRange = Annotated[Each[Scheduled[Positive]], Among(0.1, 0.2, 0.3)]
"""ε: how far a probability ratio may move from 1."""
STEP_SIZES = ("learning_rate", "critic_learning_rate", "max_grad_norm", "max_kl")  # options that make a step smaller
ABSENT: dict[str, Any] = {  # the value with which an agent without the option behaves
    "learning_rate": None,
    "critic_learning_rate": None,
    "discount": 1.0,
    "entropy_weight": 0.0,
    "kl_weight": 0.0,
    "kl_penalty": "reward",
    "normalize_rewards": False,
    "epochs": 1,
    "minibatch_size": None,
    "micro_batch_size": None,
    "max_grad_norm": None,
    "optimizer": "adam",
}


@dataclass(frozen=True, kw_only=True)
class AgentConfig(Configuration):
    """The options that every agent has."""

    adam_epsilon: Fixed[Positive] = ADAM_EPSILON
    """ε of Adam, added to the square root by which its steps are divided."""

    compares_episodes = (
        False  # not an option: whether returns are compared without the KL penalty, which then lowers advantages
    )

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """How much an update learns from: a number of steps of each environment, or whole episodes."""
        raise NotImplementedError(f"{type(self).__name__} has no cadence: inherit StepsConfig or EpisodesConfig")

    @classmethod
    def defaults_for(cls, num_envs: int) -> dict[str, Any]:
        """Return the defaults that depend on the number of environments."""
        return {}

    def check_change(self, new: AgentConfig, has_reference: bool) -> None:
        """Raise ValueError if a configuration cannot replace this one, because an agent is built with an option.

        Args:
            new: the other configuration.
            has_reference: whether the agent has a reference policy, without which there is no KL penalty.
        """
        for name, option in self.options().items():
            old, value = getattr(self, name), getattr(new, name)
            fixed = option.fixed or (name == "discount" and getattr(self, "normalize_rewards", False))
            fixed |= name == "critic_learning_rate" and None in (old, value)  # one group of parameters, or two
            fixed |= name == "kl_weight" and not has_reference
            if old != value and fixed:
                raise ValueError(f"{name} is fixed when an agent is made, now {old}: make another with {name}={value}")

    def check_learners(self, num_learners: int) -> None:
        """Raise ValueError for lists of another length, or if an update of a learner would depend on other learners."""
        for name, option in self.options().items():
            value = getattr(self, name)
            if option.each and isinstance(value, tuple) and len(value) != num_learners:
                count, given = len(value), shortened(str([*value]))
                need = f"give num_learners={count}" if num_learners == 1 else "give one for each learner"
                raise ValueError(
                    f"{name}: {count} values are given for num_learners={num_learners}, {given}; {need}, or one value"
                )

    def of_learners(self, learners: Sequence[int]) -> dict[str, Any]:
        """Return the options of some of the learners by name: of a list their entries, of one learner its value."""

        def theirs(value: Any) -> Any:  # noqa: ANN401
            some = tuple(value[learner] for learner in learners)
            return some if len(some) > 1 else some[0]

        each = [name for name, option in self.options().items() if option.each]
        options = self.as_dict()
        return options | {name: theirs(options[name]) for name in each if isinstance(options[name], tuple)}


@dataclass(frozen=True, kw_only=True)
class GradientConfig(AgentConfig):
    """The options of agents that learn by gradient descent on their loss."""

    learning_rate: Annotated[Each[Scheduled[Positive]], Around(30, ends=(1.0, 0.0))] = 3e-3
    """Step size of the policy's updates."""
    entropy_weight: Annotated[Each[Scheduled[NonNegative]], Among(0.0, 0.001, 0.003, 0.01, 0.03)] = 0.0
    """η: weight of the policy's entropy, which is added to the objective."""
    max_grad_norm: Annotated[Each[PositiveOrInfinite] | None, Among(None, 0.5, 2.0)] = None
    """Largest norm of the gradient, to which longer ones are scaled down; None: no limit."""
    optimizer: Fixed[OptimizerName] = "adam"
    """The optimizer: adam, rmsprop or sgd."""

    def check_together(self) -> None:
        """Raise ValueError for an ε of Adam with another optimizer."""
        if self.optimizer != "adam" and self.adam_epsilon != ADAM_EPSILON:
            raise ValueError(
                f"adam_epsilon is only for optimizer='adam', got {self.adam_epsilon} with {self.optimizer!r}; leave it "
                "out"
            )


@dataclass(frozen=True, kw_only=True)
class RewardConfig(AgentConfig):
    """The options of agents that maximise a discounted return."""

    discount: Annotated[Each[UnitInterval], Among(0.9, 0.95, 0.98, 0.99, 0.995, 0.999)] = 0.99
    """γ: the factor by which a reward counts less for each step that it comes later."""
    normalize_rewards: Fixed[OnOrOff] = False
    """Divide rewards by the running standard deviation of the discounted return."""


@dataclass(frozen=True, kw_only=True)
class KLConfig(AgentConfig):
    """The options of agents that can stay near a reference policy."""

    kl_weight: Each[Scheduled[NonNegative]] = 0.0
    """β: weight of the KL divergence from a reference policy, which is subtracted from the objective. The reference is
    the initial policy, unless another is given."""
    kl_penalty: KLPenalty = "reward"
    """Where the divergence counts: "reward" subtracts it from each step's reward (unbiased); "k2-loss" and "k3-loss"
    add an estimate to the loss (biased, see `pg_agents.agents.common.kl_regularization`)."""


@dataclass(frozen=True, kw_only=True)
class CriticConfig(AgentConfig):
    """The option of agents with a critic."""

    critic_learning_rate: Annotated[Each[Scheduled[Positive]] | None, Around(30)] = None
    """Step size of the critic's updates; None: as the policy's."""


@dataclass(frozen=True, kw_only=True)
class PolicyGradientConfig(KLConfig, RewardConfig, GradientConfig):
    """The options of agents that follow the gradient of a discounted return, minus a KL penalty."""


@dataclass(frozen=True, kw_only=True)
class AdvantageConfig(CriticConfig, RewardConfig):
    """The options of agents that learn from generalised advantage estimates Â."""

    gae_lambda: Annotated[Each[UnitInterval], Among(0.8, 0.9, 0.95, 0.98, 1.0)] = 0.95
    """λ of the advantage estimate: 0 relies on the critic alone, 1 on the rewards alone."""
    normalize_advantages: OnOrOff = False
    """Standardise Â over the rollout (mean 0, standard deviation 1)."""


@dataclass(frozen=True, kw_only=True)
class AdvantageActorCriticConfig(AdvantageConfig, PolicyGradientConfig):
    """The options of agents whose loss is the policy's, with advantage estimates, plus the critic's."""

    value_weight: Each[NonNegative] = 1.0
    """c: weight of the critic's loss; it matters if the gradient is clipped or the networks share parameters."""


@dataclass(frozen=True, kw_only=True)
class MicroBatchConfig(AgentConfig):
    """The option of agents that can compute a gradient in parts, to save memory."""

    micro_batch_size: Count | None = None
    """Number of steps to differentiate at once, which saves memory and does not change the update; None: all."""


@dataclass(frozen=True, kw_only=True)
class MinibatchConfig(AgentConfig):
    """The options of agents that take several gradient steps on a rollout."""

    epochs: Annotated[Count, Among(3, 4, 5, 10, 20)] = 10
    """Passes over each rollout."""
    minibatch_size: Annotated[Several | None, Among(32, 64, 128, 256, 512, 1024)] = None
    """Number of steps in a minibatch, from which one gradient step is made; None: the whole rollout."""
