"""Policy-gradient agents for Gymnasium: from a two-armed bandit to a language model, one interface."""

from pg_agents.agents import (
    A2C,
    AGENTS,
    GRPO,
    PPO,
    PUBLISHED,
    RLOO,
    TRPO,
    ActorCritic,
    Agent,
    AverageReward,
    NaturalPolicyGradient,
    Reinforce,
    ReinforceBaseline,
    load,
)
from pg_agents.audit import AuditError
from pg_agents.collect import collect_episodes, collect_steps
from pg_agents.evaluate import Evaluation, evaluate
from pg_agents.policies import Critic, Policy, UnsupportedSpaceError
from pg_agents.rollout import Batch, Episodes, Rollout, Steps
from pg_agents.schedules import Linear
from pg_agents.stream import FaultyEnvironmentError
from pg_agents.train import Summary, train

__version__ = "0.1.0"

__all__ = [
    "A2C",
    "AGENTS",
    "GRPO",
    "PPO",
    "PUBLISHED",
    "RLOO",
    "TRPO",
    "ActorCritic",
    "Agent",
    "AuditError",
    "AverageReward",
    "Batch",
    "Critic",
    "Episodes",
    "Evaluation",
    "FaultyEnvironmentError",
    "Linear",
    "NaturalPolicyGradient",
    "Policy",
    "Reinforce",
    "ReinforceBaseline",
    "Rollout",
    "Steps",
    "Summary",
    "UnsupportedSpaceError",
    "collect_episodes",
    "collect_steps",
    "evaluate",
    "load",
    "train",
]
