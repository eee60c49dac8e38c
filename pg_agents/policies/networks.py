"""Spaces → networks that suit them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import gymnasium as gym
from gymnasium import spaces

from pg_agents.policies.encoder import UnsupportedSpaceError
from pg_agents.policies.mlp import MLPActionCritic, MLPCritic, MLPPolicy
from pg_agents.policies.policy import ActionCritic, Critic, Policy
from pg_agents.policies.tabular import TabularActionCritic, TabularCritic, TabularPolicy
from pg_agents.policies.transformer import TransformerCritic, TransformerPolicy


def make_networks(
    observation_space: gym.Space,
    action_space: gym.Space,
    *,
    critic: bool,
    action_values: bool = False,
    num_learners: int = 1,
    hidden: Sequence[int] | None = None,
) -> tuple[Policy, Critic | ActionCritic | None]:
    """Return a policy and, if `critic`, a critic for the spaces of one environment: V, or Q if `action_values`.

    Discrete observations and actions: tables. Windows of tokens (a Dict of `tokens` and `length`): a small causal
    transformer. Everything else: MLPs with `hidden` layers, (64, 64) unless told otherwise.

    Raises:
        UnsupportedSpaceError: for spaces without a network, for action values of other than Discrete actions, or for
            independent learners outside finite problems.
    """
    if critic and action_values:
        return _with_action_values(observation_space, action_space, num_learners, hidden)
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
        if hidden is not None:
            raise ValueError(f"hidden must be left out for windows of tokens (give policy=...), got {tuple(hidden)}")
        sizes = int(action_space.n), int(observation_space["length"].n) - 1  # type: ignore[attr-defined] # Discrete
        return TransformerPolicy(*sizes), TransformerCritic(*sizes) if critic else None
    layers = (64, 64) if hidden is None else hidden
    return (
        MLPPolicy(observation_space, action_space, hidden=layers),
        MLPCritic(observation_space, hidden=layers) if critic else None,
    )


def _with_action_values(
    observation_space: gym.Space, action_space: gym.Space, num_learners: int, hidden: Sequence[int] | None
) -> tuple[Policy, ActionCritic]:
    """Return a policy and Q for Discrete actions: tables for Discrete observations, else MLPs."""
    if not isinstance(action_space, spaces.Discrete) or is_token_window(observation_space):
        raise UnsupportedSpaceError(
            f"a value for each action needs Discrete actions and observations that are no windows of tokens, got "
            f"{action_space} and {observation_space}: choose an agent with a state-value critic, such as actor-critic"
        )
    same: dict[str, Any] = {"num_learners": num_learners, "hidden": hidden}
    policy, _ = make_networks(observation_space, action_space, critic=False, **same)
    num_actions = int(action_space.n)
    if isinstance(policy, TabularPolicy):
        assert isinstance(observation_space, spaces.Discrete)
        table = {"num_learners": num_learners, "start": int(observation_space.start)}
        return policy, TabularActionCritic(int(observation_space.n), num_actions, **table)
    return policy, MLPActionCritic(observation_space, num_actions, hidden=(64, 64) if hidden is None else hidden)


def is_token_window(space: gym.Space) -> TypeGuard[spaces.Dict]:
    """Return whether observations are windows of tokens with a length, as pg/… token environments give them."""
    return isinstance(space, spaces.Dict) and set(space.spaces) == {"tokens", "length"}
