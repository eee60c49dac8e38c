"""The algorithms, one file each."""

from pathlib import Path
from typing import Any

from pg_agents.agents.a2c import A2C, A2CConfig
from pg_agents.agents.actor_critic import ActorCritic, ActorCriticConfig
from pg_agents.agents.average_reward import AverageReward, AverageRewardConfig
from pg_agents.agents.base import Agent
from pg_agents.agents.common.loading import read_agent
from pg_agents.agents.grpo import GRPO, GRPOConfig
from pg_agents.agents.npg import NaturalPolicyGradient, NaturalPolicyGradientConfig
from pg_agents.agents.ppo import PPO, PPOConfig
from pg_agents.agents.published import PUBLISHED
from pg_agents.agents.reinforce import Reinforce, ReinforceConfig
from pg_agents.agents.reinforce_baseline import ReinforceBaseline, ReinforceBaselineConfig
from pg_agents.agents.rloo import RLOO, RLOOConfig
from pg_agents.agents.trpo import TRPO, TRPOConfig
from pg_agents.errors import SavedAgentError

AGENTS: dict[str, type[Agent]] = {
    agent.name: agent
    for agent in (
        Reinforce,
        ReinforceBaseline,
        ActorCritic,
        A2C,
        PPO,
        GRPO,
        RLOO,
        TRPO,
        NaturalPolicyGradient,
        AverageReward,
    )
}

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
    "AverageReward",
    "AverageRewardConfig",
    "NaturalPolicyGradient",
    "NaturalPolicyGradientConfig",
    "Reinforce",
    "ReinforceConfig",
    "ReinforceBaseline",
    "ReinforceBaselineConfig",
    "SavedAgentError",
    "load",
]


def load(path: str | Path, **networks: Any) -> Agent:  # noqa: ANN401
    """Return the agent that `agent.save(path)` wrote.

    Args:
        path: the folder; of a run, its `agent` is loaded.
        **networks: policy=… and, if it has one, critic=…, for an agent that was made of the user's networks; encoder=…,
            a module like the user's, for one that was made with it.

    Raises:
        SavedAgentError: the folder holds no agent, a damaged one, or parameters that do not fit the networks.
    """
    return read_agent(Path(path), AGENTS, networks)
