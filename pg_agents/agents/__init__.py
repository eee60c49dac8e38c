"""The algorithms, one file each."""

from pathlib import Path
from typing import Any

from pg_agents.agents.a2c import A2C
from pg_agents.agents.actor_critic import ActorCritic
from pg_agents.agents.average_reward import AverageReward
from pg_agents.agents.base import Agent
from pg_agents.agents.grpo import GRPO
from pg_agents.agents.loading import load_agent
from pg_agents.agents.npg import NaturalPolicyGradient
from pg_agents.agents.ppo import PPO
from pg_agents.agents.published import PUBLISHED
from pg_agents.agents.reinforce import Reinforce
from pg_agents.agents.reinforce_baseline import ReinforceBaseline
from pg_agents.agents.rloo import RLOO
from pg_agents.agents.trpo import TRPO
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
    "AGENTS",
    "GRPO",
    "PPO",
    "PUBLISHED",
    "RLOO",
    "TRPO",
    "ActorCritic",
    "Agent",
    "AverageReward",
    "NaturalPolicyGradient",
    "Reinforce",
    "ReinforceBaseline",
    "SavedAgentError",
    "load",
]


def load(path: str | Path, **networks: Any) -> Agent:  # noqa: ANN401
    """Return the agent that `agent.save(path)` wrote.

    Args:
        path: the folder.
        **networks: policy=… and, where it had one, critic=…, for an agent that was given its own networks.

    Raises:
        SavedAgentError: no agent there, a damaged one, or parameters that do not fit the networks.
    """
    return load_agent(Path(path), AGENTS, networks)
