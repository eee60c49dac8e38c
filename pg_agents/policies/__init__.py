"""Policies and critics: networks from observations to distributions over actions and to values."""

from pg_agents.policies.encoder import Encoder, UnsupportedSpaceError
from pg_agents.policies.mlp import MLPCritic, MLPPolicy
from pg_agents.policies.networks import is_token_window, make_networks
from pg_agents.policies.policy import Critic, Memory, Policy
from pg_agents.policies.tabular import TabularCritic, TabularPolicy
from pg_agents.policies.transformer import KVCache, TransformerCritic, TransformerPolicy

__all__ = [
    "Critic",
    "Encoder",
    "KVCache",
    "MLPCritic",
    "MLPPolicy",
    "Memory",
    "Policy",
    "TabularCritic",
    "TabularPolicy",
    "TransformerCritic",
    "TransformerPolicy",
    "UnsupportedSpaceError",
    "is_token_window",
    "make_networks",
]
