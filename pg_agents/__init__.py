"""Policy-gradient agents for Gymnasium: from a two-armed bandit to a language model, one interface."""

# ruff: noqa: E402, I001 - Ctrl-C is handled before what takes seconds to import
from pg_agents.at_once import heed_imports

heed_imports()

import pg_envs  # noqa: F401 - makes the pg/… ids known

from pg_agents import elsewhere, renamed
from pg_agents.agents import (
    A2C,
    AGENTS,
    GRPO,
    PPO,
    PUBLISHED,
    RLOO,
    TRPO,
    A2CConfig,
    ActorCritic,
    ActorCriticConfig,
    Agent,
    AverageReward,
    AverageRewardConfig,
    GRPOConfig,
    NaturalPolicyGradient,
    NaturalPolicyGradientConfig,
    PPOConfig,
    Reinforce,
    ReinforceBaseline,
    ReinforceBaselineConfig,
    ReinforceConfig,
    RLOOConfig,
    TRPOConfig,
    load,
)
from pg_agents.collection.collectors import collect_episodes, collect_steps
from pg_agents.data.rollout import Batch, EpisodeCadence, Rollout, StepCadence
from pg_agents.errors import (
    AuditError,
    FaultyEnvironmentError,
    LostRankError,
    NoStateError,
    NotSavedError,
    SavedAgentError,
    SavedFilesError,
    Terminated,
    UnsupportedSpaceError,
    UserError,
)
from pg_agents.llm import LanguageConfig
from pg_agents.policies import Critic, NetworkConfig, Policy
from pg_agents.schedules import LinearSchedule
from pg_agents.spaces.worker import worker
from pg_agents.training.evaluation import Evaluation, evaluate
from pg_agents.training.loop import train
from pg_agents.training.run import Run, Summary

__version__ = "0.2.0"


def __getattr__(name: str) -> object:
    if name in renamed.PUBLIC:
        renamed.warn(f"pg_agents.{name}", renamed.PUBLIC[name])
        return globals()[renamed.PUBLIC[name]]
    if (ours := elsewhere.AGENTS.get(elsewhere.agent_name(name))) is not None:
        raise AttributeError(f"module {__name__!r} has no {name}: here it is {AGENTS[ours].__name__}")
    if (said := elsewhere.here_of(name)) is not None:
        raise AttributeError(f"module {__name__!r} has no {name}: {said}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "A2C",
    "A2CConfig",
    "AGENTS",
    "GRPO",
    "GRPOConfig",
    "PPO",
    "PPOConfig",
    "PUBLISHED",
    "RLOO",
    "RLOOConfig",
    "TRPO",
    "TRPOConfig",
    "ActorCritic",
    "ActorCriticConfig",
    "Agent",
    "AuditError",
    "AverageReward",
    "AverageRewardConfig",
    "Batch",
    "Critic",
    "EpisodeCadence",
    "Evaluation",
    "FaultyEnvironmentError",
    "LanguageConfig",
    "LinearSchedule",
    "LostRankError",
    "NaturalPolicyGradient",
    "NaturalPolicyGradientConfig",
    "NetworkConfig",
    "Policy",
    "Reinforce",
    "ReinforceConfig",
    "ReinforceBaseline",
    "ReinforceBaselineConfig",
    "Rollout",
    "Run",
    "NoStateError",
    "NotSavedError",
    "SavedAgentError",
    "SavedFilesError",
    "StepCadence",
    "Summary",
    "Terminated",
    "UnsupportedSpaceError",
    "UserError",
    "collect_episodes",
    "collect_steps",
    "evaluate",
    "load",
    "train",
    "worker",
]
