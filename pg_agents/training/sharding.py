"""A run of several processes that share out the parameters of a language model."""

from __future__ import annotations

from typing import Any

from pg_agents.agents.base import Agent
from pg_agents.agents.common.sharded_optimizer import ShardedOptimizer
from pg_agents.errors import UserError
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.huggingface_critic import HuggingFaceCritic
from pg_agents.llm.sharding import CutModel

STARTED = "torchrun --nproc-per-node K -m pg_agents train …"


def share_parameters(agent: Agent) -> None:
    """Share an agent's networks out among its ranks: from now on each keeps its own rows of them while it learns.

    All ranks call this together, with the same parameters. Between updates every process has all parameters.

    Raises:
        UserError: there is one process, a network is no language model of transformers, or the agent's step is not that
            of an optimizer.
    """
    if agent.flat_optimizer.shares_out:
        return
    if agent.ranks.count == 1:
        raise UserError(f"shard: there is one process, and nobody to share with; start several: {STARTED}")
    networks = [network for network in (agent.policy, agent.critic, agent.reference) if network is not None]
    # A reference without parameters is the policy without its adapters.
    networks = [network for network in networks if any(True for _ in network.parameters())]
    for network in networks:
        if not isinstance(network, HuggingFacePolicy | HuggingFaceCritic):
            kind = type(network).__name__
            raise UserError(f"shard: a {kind} is no language model of transformers (policy=hf:PATH); leave it out")
    if type(agent).optimize is not Agent.optimize:
        raise UserError(f"shard: {agent.name} takes no step of an optimizer, whose parts could be shared out")
    before: Any = agent.flat_optimizer
    before.refresh()
    names = {parameter: name for name, parameter in agent.named_parameters()}
    moments, layout = before.get_state(names)
    agent.flat_optimizer = ShardedOptimizer(before, [CutModel(one, agent.ranks) for one in networks], agent.ranks)
    if moments:
        parameters = dict(agent.named_parameters())
        agent.flat_optimizer.set_state(parameters, moments, layout)
