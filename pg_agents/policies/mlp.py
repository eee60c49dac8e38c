"""Multi-layer perceptrons for vectors of features."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
from torch import Tensor

from pg_agents._fast.module_calls import call, hold_directly
from pg_agents.data.rollout import Rollout
from pg_agents.data.tree import Tree
from pg_agents.distributions import Distribution
from pg_agents.policies.action_heads import check_mask, make_head
from pg_agents.policies.activations import Activation
from pg_agents.policies.encoder import Encoder, give_encoder
from pg_agents.policies.layers import MLP
from pg_agents.policies.normalization import ObservationScale
from pg_agents.policies.policy import ActionCritic, Critic, Memory, Policy
from pg_agents.spaces.action_masks import split_mask


class MLPPolicy(Policy):
    """π_θ(·|s) by an MLP and the head of the action space (`action_heads.make_head`).

    Actions that the observation's mask forbids have probability 0.

    Args:
        observation_space: of one environment.
        action_space: of one environment: Discrete, MultiDiscrete, MultiBinary or Box.
        hidden: sizes of the hidden layers.
        activation: of the hidden layers, "tanh" or "relu".
        squash: for a bounded Box: a Gaussian squashed into the bounds instead of a clipped one.
        initial_log_std: ln σ before training, for a Box.
        scale: standardises the observations; shared with the critic.
        encoder: of the observations; None: one that suits their space.

    Raises:
        UnsupportedSpaceError: a space is not supported, or the mask in the observation does not fit the actions.
        ValueError: the activation is unknown, or an option of a Box is given for another action space.
    """

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        squash: bool = False,
        initial_log_std: float = 0.0,
        scale: ObservationScale | None = None,
        encoder: Encoder | None = None,
    ) -> None:
        super().__init__()
        self.head = make_head(action_space, squash=squash, initial_log_std=initial_log_std)
        check_mask(observation_space, action_space)
        self.encoder = Encoder(observation_space, scale) if encoder is None else encoder
        self.network = MLP([self.encoder.size, *hidden, self.head.outputs], output_gain=0.01, activation=activation)
        hold_directly(self, "encoder", "network", "head")

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Distribution:
        """Return the distributions for observations [..., *shape]."""
        features = call(self.network, call(self.encoder, observations))
        return call(self.head, features, split_mask(observations)[1])

    def encode(self, observations: Tree) -> Tree:
        """Return observations [B, …], encoded if a critic shares the encoder."""
        return self.encoder.encode(observations) if self.encoder.shared else observations

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return actions as sampled, [B, …], in the units of the environment."""
        return self.head.unscale_action(actions)


class MLPCritic(Critic):
    """V_ψ(s) by an MLP.

    Args:
        observation_space: of one environment.
        hidden: sizes of the hidden layers.
        activation: of the hidden layers, "tanh" or "relu".
        scale: standardises the observations; the same one as the policy's.
        encoder: one of its own; None: one that suits the space.
        shared: the policy's encoder, to be shared, instead of `encoder`.

    Raises:
        UnsupportedSpaceError: for a space without a fixed size.
        ValueError: for an unknown activation.
    """

    encoder: Encoder

    def __init__(
        self,
        observation_space: gym.Space,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        scale: ObservationScale | None = None,
        encoder: Encoder | None = None,
        shared: Encoder | None = None,
    ) -> None:
        super().__init__()
        give_encoder(self, encoder or shared or Encoder(observation_space, scale), shared=shared is not None)
        self.network = MLP([self.encoder.size, *hidden, 1], output_gain=1.0, activation=activation)

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values of observations [..., *shape]."""
        return call(self.network, call(self.encoder, observations)).squeeze(-1)

    def seen(self, rollout: Rollout) -> Tree:
        """Return a rollout's observations, encoded already if acting with the shared encoder has done so."""
        return self.encoder.recalled(rollout)


class MLPActionCritic(ActionCritic):
    """Q_ψ(s,·) by an MLP with an output for each action.

    Args:
        observation_space: of one environment.
        num_actions: A.
        hidden: sizes of the hidden layers.
        activation: of the hidden layers, "tanh" or "relu".
        scale: standardises the observations; the same one as the policy's.
        encoder: one of its own; None: one that suits the space.
        shared: the policy's encoder, to be shared, instead of `encoder`.

    Raises:
        UnsupportedSpaceError: for a space without a fixed size.
        ValueError: for an unknown activation.
    """

    encoder: Encoder

    def __init__(
        self,
        observation_space: gym.Space,
        num_actions: int,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        scale: ObservationScale | None = None,
        encoder: Encoder | None = None,
        shared: Encoder | None = None,
    ) -> None:
        super().__init__()
        give_encoder(self, encoder or shared or Encoder(observation_space, scale), shared=shared is not None)
        self.network = MLP([self.encoder.size, *hidden, num_actions], output_gain=1.0, activation=activation)

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values of all actions, [..., A], for observations [..., *shape]."""
        return call(self.network, call(self.encoder, observations))
