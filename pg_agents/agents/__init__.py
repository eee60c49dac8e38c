"""The algorithms, one file each."""

from pg_agents.agents.actor_critic import ActorCritic
from pg_agents.agents.agent import Agent
from pg_agents.agents.reinforce import Reinforce
from pg_agents.agents.reinforce_baseline import ReinforceBaseline

AGENTS: dict[str, type[Agent]] = {
    "reinforce": Reinforce,
    "reinforce-baseline": ReinforceBaseline,
    "actor-critic": ActorCritic,
}

__all__ = ["AGENTS", "ActorCritic", "Agent", "Reinforce", "ReinforceBaseline"]
