"""Spaces → networks that suit them."""

from __future__ import annotations

from typing import Any, TypeGuard

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from torch import nn

from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies.action_heads import check_mask, make_head
from pg_agents.policies.make_encoders import Encoders, make_encoders
from pg_agents.policies.mlp import MLPActionCritic, MLPCritic, MLPPolicy
from pg_agents.policies.network_config import NetworkConfig
from pg_agents.policies.normalization import ObservationScale, has_real
from pg_agents.policies.policy import ActionCritic, Critic, Policy
from pg_agents.policies.recurrent import GRUCritic, GRUPolicy
from pg_agents.policies.tabular import TabularActionCritic, TabularCritic, TabularPolicy
from pg_agents.policies.transformer import TransformerCritic, TransformerPolicy
from pg_agents.spaces.action_masks import without_mask


def make_networks(
    observation_space: gym.Space,
    action_space: gym.Space,
    *,
    critic: bool,
    action_values: bool = False,
    encoder: nn.Module | None = None,
    config: NetworkConfig | None = None,
    **options: Any,  # noqa: ANN401
) -> tuple[Policy, Critic | ActionCritic | None]:
    """Return a policy and, if `critic`, a critic for the spaces of one environment: V, or Q if `action_values`.

    Discrete observations and actions: tables. Windows of tokens (a Dict of `tokens` and `length`): a small causal
    transformer. Everything else: MLPs on the features of an `Encoder`; a GRU where `recurrent` says so.

    Args:
        observation_space: of one environment.
        action_space: of one environment.
        critic: whether to make one.
        action_values: Q(s,·) instead of V(s).
        encoder: a module of the user's from observations to features; see `OwnEncoder`. A critic that does not share it
            gets a copy.
        config: the networks' options; None: the defaults.
        **options: options that are to be different.

    Raises:
        UnsupportedSpaceError: for spaces without a network, for action values of other than Discrete actions, or for
            independent learners outside finite problems.
        ValueError: for options that the networks for these spaces do not have.
    """
    config = (config or NetworkConfig()).replace(**options)
    hidden, recurrent, num_learners = config.hidden, config.recurrent, config.num_learners
    if critic and action_values:
        check_action_values(observation_space, action_space)
    box: dict[str, Any] = {"squash": config.squash, "initial_log_std": config.initial_log_std}
    head = make_head(action_space, **box)
    check_mask(observation_space, action_space)
    features = without_mask(observation_space)
    chosen = any(option is not None for option in (hidden, config.activation, recurrent, encoder))
    chosen |= config.share_encoder is True
    _check_options(config, observation_space, critic)
    if isinstance(features, spaces.Discrete) and isinstance(action_space, spaces.Discrete) and not chosen:
        return _tables(features, int(action_space.n), num_learners, critic, action_values)
    if is_token_window(features, action_space) and encoder is None:
        if chosen:
            names = "recurrent, hidden, share_encoder, activation"
            raise ValueError(f"{names} must be left out for windows of tokens: give policy=...")
        sizes = int(action_space.n), int(features["length"].n) - 1  # type: ignore[attr-defined] # Discrete
        return TransformerPolicy(*sizes), TransformerCritic(*sizes) if critic else None
    scale = ObservationScale(features) if config.normalize_observations else None
    encoders = make_encoders(observation_space, config, encoder, scale, critic=critic)
    form: dict[str, Any] = {"activation": config.activation or "tanh", "scale": scale, "hidden": encoders.hidden}
    if recurrent is not None:
        return _recurrent(observation_space, action_space, recurrent, critic, action_values, encoders, box, form)
    policy = MLPPolicy(observation_space, action_space, **box, **form, **encoders.of_policy)
    form |= encoders.of_critic(policy)
    if critic and action_values:
        return policy, MLPActionCritic(observation_space, head.outputs, **form)
    return policy, MLPCritic(observation_space, **form) if critic else None


def _check_options(config: NetworkConfig, observation_space: gym.Space, critic: bool) -> None:
    """Raise ValueError for an option that would have no effect."""
    if config.normalize_observations and not has_real(without_mask(observation_space)):
        raise ValueError(f"normalize_observations: it needs observations with real numbers, got {observation_space}")
    if config.share_encoder and not critic:
        raise ValueError("share_encoder: True needs a critic to share the encoder with, and this agent has none")


def _tables(
    states: spaces.Discrete, num_actions: int, num_learners: int, critic: bool, action_values: bool
) -> tuple[Policy, Critic | ActionCritic | None]:
    """Return tables for Discrete observations and actions."""
    form: dict[str, Any] = {"num_learners": num_learners, "start": int(states.start)}
    policy = TabularPolicy(int(states.n), num_actions, **form)
    if not critic:
        return policy, None
    if action_values:
        return policy, TabularActionCritic(int(states.n), num_actions, **form)
    return policy, TabularCritic(int(states.n), **form)


def _recurrent(
    observation_space: gym.Space,
    action_space: gym.Space,
    size: int,
    critic: bool,
    action_values: bool,
    encoders: Encoders,
    box: dict[str, Any],
    form: dict[str, Any],
) -> tuple[GRUPolicy, GRUCritic | None]:
    """Return networks with a memory."""
    if critic and action_values:
        raise UnsupportedSpaceError(
            f"recurrent={size} comes with a critic V, and this agent needs Q: choose another agent, or leave it out"
        )
    policy = GRUPolicy(observation_space, action_space, size=size, **box, **form, **encoders.of_policy)
    if not critic:
        return policy, None
    form |= {"hidden": encoders.of_recurrent_critic} | encoders.of_critic(policy)
    return policy, GRUCritic(policy, observation_space, **form)


def check_action_values(observation_space: gym.Space, action_space: gym.Space) -> None:
    """Raise UnsupportedSpaceError where there is no network with a value for each action."""
    if not isinstance(action_space, spaces.Discrete) or is_token_window(without_mask(observation_space), action_space):
        raise UnsupportedSpaceError(
            f"a value for each action needs Discrete actions and observations that are no windows of tokens, got "
            f"{action_space} and {observation_space}: choose an agent with a state-value critic, such as actor-critic"
        )


def is_token_window(space: gym.Space, action_space: gym.Space | None = None) -> TypeGuard[spaces.Dict]:
    """Return whether observations are windows of W tokens with a length, as pg/… token environments give them.

    `tokens` are W whole numbers from 0, each of which is an action where the action space is given; `length` is one of
    0 … W. Spaces that are called so and are none of this are a Dict like any other.
    """
    if not isinstance(space, spaces.Dict) or set(space.spaces) != {"tokens", "length"}:
        return False
    tokens, length = space["tokens"], space["length"]
    if not isinstance(tokens, spaces.Box | spaces.MultiDiscrete) or not isinstance(length, spaces.Discrete):
        return False
    whole = np.issubdtype(tokens.dtype, np.integer) and len(tokens.shape) == 1
    if not whole or (length.start, length.n) != (0, tokens.shape[0] + 1):
        return False
    low, high = (
        (tokens.low, tokens.high) if isinstance(tokens, spaces.Box) else (tokens.start, tokens.start + tokens.nvec - 1)
    )
    if action_space is None:
        return bool(low.min() >= 0)
    return isinstance(action_space, spaces.Discrete) and bool(low.min() >= 0 and high.max() < action_space.n)
