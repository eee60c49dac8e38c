"""Spaces → networks that suit them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import gymnasium as gym
from gymnasium import spaces

from pg_agents.policies.encoder import UnsupportedSpaceError
from pg_agents.policies.mlp import MLPCritic, MLPPolicy
from pg_agents.policies.policy import Critic, Policy
from pg_agents.policies.tabular import TabularCritic, TabularPolicy
from pg_agents.policies.transformer import TransformerCritic, TransformerPolicy


def make_networks(
    observation_space: gym.Space,
    action_space: gym.Space,
    *,
    critic: bool,
    num_learners: int = 1,
    hidden: Sequence[int] | None = None,
) -> tuple[Policy, Critic | None]:
    """Return a policy and, if `critic`, a critic for the spaces of one environment.

    Discrete observations and actions: tables. Windows of tokens (a Dict of `tokens` and `length`): a small causal
    transformer. Everything else: MLPs with `hidden` layers, (64, 64) unless told otherwise.

    Raises:
        UnsupportedSpaceError: for spaces without a network, or for independent learners outside finite problems.
    """
    if isinstance(observation_space, spaces.Discrete) and isinstance(action_space, spaces.Discrete) and hidden is None:
        states, start, learners = int(observation_space.n), int(observation_space.start), num_learners
        policy = TabularPolicy(states, int(action_space.n), num_learners=learners, start=start)
        return policy, TabularCritic(states, num_learners=learners, start=start) if critic else None
    if num_learners > 1:
        raise UnsupportedSpaceError(
            f"num_learners={num_learners} independent learners need Discrete observations and actions, got "
            f"{observation_space} and {action_space}"
        )
    if is_token_window(observation_space) and isinstance(action_space, spaces.Discrete):
        sizes = int(action_space.n), int(observation_space["length"].n) - 1  # type: ignore[attr-defined] # Discrete
        return TransformerPolicy(*sizes), TransformerCritic(*sizes) if critic else None
    layers = (64, 64) if hidden is None else hidden
    return (
        MLPPolicy(observation_space, action_space, hidden=layers),
        MLPCritic(observation_space, hidden=layers) if critic else None,
    )


def is_token_window(space: gym.Space) -> TypeGuard[spaces.Dict]:
    """Return whether observations are windows of tokens with a length, as pg/… token environments give them."""
    return isinstance(space, spaces.Dict) and set(space.spaces) == {"tokens", "length"}
