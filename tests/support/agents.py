"""The agents by name, apart by the tasks that they learn from: those with episodes, and those that never end."""

from pg_agents import AGENTS

EPISODIC_AGENTS = [name for name, agent in AGENTS.items() if not agent.continuing]
CONTINUING_AGENTS = [name for name, agent in AGENTS.items() if agent.continuing]
