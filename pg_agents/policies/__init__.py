"""Policies and critics: networks from observations to distributions over actions and to values."""

from pg_agents.policies.action_heads import Head, make_head
from pg_agents.policies.encoder import Encoder
from pg_agents.policies.image_encoder import ImageEncoder
from pg_agents.policies.make_networks import is_token_window, make_networks
from pg_agents.policies.mlp import MLPActionCritic, MLPCritic, MLPPolicy
from pg_agents.policies.network_config import NetworkConfig
from pg_agents.policies.policy import ActionCritic, Critic, Memory, Policy, check_learners
from pg_agents.policies.recurrent import GRUCritic, GRUPolicy
from pg_agents.policies.tabular import TabularActionCritic, TabularCritic, TabularPolicy
from pg_agents.policies.transformer import KVCache, TransformerCritic, TransformerPolicy

__all__ = [
    "ActionCritic",
    "Critic",
    "Encoder",
    "GRUCritic",
    "GRUPolicy",
    "Head",
    "ImageEncoder",
    "KVCache",
    "MLPActionCritic",
    "MLPCritic",
    "MLPPolicy",
    "Memory",
    "NetworkConfig",
    "Policy",
    "TabularActionCritic",
    "TabularCritic",
    "TabularPolicy",
    "TransformerCritic",
    "TransformerPolicy",
    "check_learners",
    "is_token_window",
    "make_head",
    "make_networks",
]
