"""What agents can be told: the options that several have in common, each written once.

An agent's own configuration inherits those that it has, and states other defaults where it has them. Configurations are
data: this is the only inheritance among agents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pg_agents.agents.common.flat_optimizer import ADAM_EPSILON, OptimizerName
from pg_agents.agents.common.kl_regularization import KLPenalty
from pg_agents.configuration import (
    Configuration,
    Count,
    NonNegative,
    Positive,
    PositiveOrInfinite,
    Scheduled,
    Several,
    UnitInterval,
)
from pg_agents.data.rollout import EpisodeCadence, StepCadence

STEP_SIZES = ("learning_rate", "critic_learning_rate", "max_grad_norm", "max_kl")  # what keeps a step small
COUPLING = ("max_grad_norm", "normalize_advantages", "normalize_rewards", "target_kl")  # learners with each other
ABSENT: dict[str, Any] = {  # how an agent behaves that does not have the option
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

    adam_epsilon: Positive = ADAM_EPSILON
    """ε of Adam, which is added to the root that its steps are divided by."""

    compares_episodes = (
        False  # no option: whether scores are compared without the KL penalty, which is then on advantages
    )

    @property
    def cadence(self) -> StepCadence | EpisodeCadence:
        """What the agent learns from: so many steps of each environment, or whole episodes."""
        raise NotImplementedError(f"{type(self).__name__} has no cadence: inherit StepsConfig or EpisodesConfig")

    @classmethod
    def defaults_for(cls, num_envs: int) -> dict[str, Any]:
        """Return the defaults that depend on the number of environments."""
        return {}

    def check_learners(self, num_learners: int) -> None:
        """Raise ValueError where an update of one of several independent learners would depend on the others."""
        if num_learners == 1:
            return
        coupled = [name for name in COUPLING if getattr(self, name, None)]
        if coupled:
            raise ValueError(f"{coupled[0]} would couple the {num_learners} independent learners: leave it off")
        if getattr(self, "minibatch_size", None) is not None and getattr(self, "num_steps", 1) is None:
            raise ValueError(
                f"num_steps=None would couple the {num_learners} independent learners, whose minibatches would be as "
                "many as the longest episode makes: give a number of steps"
            )


@dataclass(frozen=True, kw_only=True)
class GradientConfig(AgentConfig):
    """The options of agents that go down the gradient of their loss."""

    learning_rate: Scheduled[Positive] = 3e-3
    """Step size of the policy."""
    entropy_weight: Scheduled[NonNegative] = 0.0
    """η: weight of the policy's entropy, which is added to the objective."""
    max_grad_norm: PositiveOrInfinite | None = None
    """A longer gradient is scaled down to this norm; None: never."""
    optimizer: OptimizerName = "adam"
    """Which optimizer takes the steps."""

    def check_together(self) -> None:
        """Raise ValueError for an ε of Adam with another optimizer."""
        if self.optimizer != "adam" and self.adam_epsilon != ADAM_EPSILON:
            raise ValueError(
                f"adam_epsilon goes with optimizer='adam', got {self.adam_epsilon} with {self.optimizer!r}; leave it "
                "out"
            )


@dataclass(frozen=True, kw_only=True)
class RewardConfig(AgentConfig):
    """The options of agents that maximise a discounted return."""

    discount: UnitInterval = 0.99
    """γ: what a reward is worth one step later."""
    normalize_rewards: bool = False
    """Divide rewards by the running standard deviation of the discounted return."""


@dataclass(frozen=True, kw_only=True)
class KLConfig(AgentConfig):
    """The options of agents that can stay near a reference policy."""

    kl_weight: Scheduled[NonNegative] = 0.0
    """β: weight of the KL divergence from `reference`, which is taken off the objective. Above 0 the reference is the
    policy as it is at the start, unless another is given."""
    kl_penalty: KLPenalty = "reward"
    """Where the divergence is taken off: "reward", each step's reward, which is unbiased; "k2-loss" or "k3-loss", the
    loss, which is biased as `pg_agents.agents.common.kl_regularization` says."""


@dataclass(frozen=True, kw_only=True)
class CriticConfig(AgentConfig):
    """The option of agents with a critic."""

    critic_learning_rate: Scheduled[Positive] | None = None
    """Step size of the critic; None: that of the policy."""


@dataclass(frozen=True, kw_only=True)
class PolicyGradientConfig(KLConfig, RewardConfig, GradientConfig):
    """The options of agents that go up the gradient of a discounted return, less a KL penalty."""


@dataclass(frozen=True, kw_only=True)
class AdvantageConfig(CriticConfig, RewardConfig):
    """The options of agents that learn from generalised advantage estimates Â."""

    gae_lambda: UnitInterval = 0.95
    """λ of the advantage estimate: 0 trusts the critic, 1 the rewards."""
    normalize_advantages: bool = False
    """Standardise Â over the rollout (mean 0, standard deviation 1)."""


@dataclass(frozen=True, kw_only=True)
class AdvantageActorCriticConfig(AdvantageConfig, PolicyGradientConfig):
    """The options of agents whose loss is the policy's, with advantage estimates, plus the critic's."""

    value_weight: NonNegative = 1.0
    """c: weight of the critic's loss; it matters where the gradient is clipped or networks are shared."""


@dataclass(frozen=True, kw_only=True)
class MicroBatchConfig(AgentConfig):
    """The option of agents whose gradient may need more memory than there is."""

    micro_batch_size: Count | None = None
    """Steps that are differentiated at once, to save memory; the update is the same. None: all of them."""


@dataclass(frozen=True, kw_only=True)
class MinibatchConfig(AgentConfig):
    """The options of agents that take several gradient steps on a rollout."""

    epochs: Count = 10
    """Passes over the rollout."""
    minibatch_size: Several | None = None
    """Steps in the minibatch of one gradient step; None: the whole rollout."""
