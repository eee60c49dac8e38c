"""Multi-layer perceptrons for vectors of features."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import gymnasium as gym
from torch import Tensor, nn

from pg_agents._fast.module_calls import call, hold_directly
from pg_agents.data.tree import Tree
from pg_agents.distributions import Distribution
from pg_agents.policies.action_heads import check_mask, make_head
from pg_agents.policies.activations import ACTIVATIONS, Activation
from pg_agents.policies.encoder import Encoder
from pg_agents.policies.normalization import ObservationScale
from pg_agents.policies.policy import ActionCritic, Critic, Memory, Policy
from pg_agents.spaces.action_masks import split_mask


class MLP(nn.Sequential):
    """A network of the given layer sizes, weights orthogonal (gain √2, the last layer `output_gain`).

    Args:
        sizes: the sizes of the input, the hidden layers and the output.
        output_gain: the gain of the last layer.
        activation: of the hidden layers, "tanh" or "relu".

    Raises:
        ValueError: the activation is unknown.
    """

    def __init__(self, sizes: Sequence[int], output_gain: float, activation: Activation = "tanh") -> None:
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        super().__init__(*(nn.Linear(*pair) for pair in itertools.pairwise(sizes)))
        self.activate = ACTIVATIONS[activation]
        for i, linear in enumerate(self):
            nn.init.orthogonal_(linear.get_parameter("weight"), output_gain if i == len(sizes) - 2 else 2**0.5)
            nn.init.zeros_(linear.get_parameter("bias"))

    def forward(self, features: Tensor) -> Tensor:
        """Return the outputs [..., sizes[-1]] for features [..., sizes[0]]."""
        *hidden, last = self._modules.values()
        for layer in hidden:
            features = self.activate(call(layer, features))
        return call(last, features)


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
    ) -> None:
        super().__init__()
        self.head = make_head(action_space, squash=squash, initial_log_std=initial_log_std)
        check_mask(observation_space, action_space)
        self.encoder = Encoder(observation_space, scale)
        self.network = MLP([self.encoder.size, *hidden, self.head.outputs], output_gain=0.01, activation=activation)
        hold_directly(self, "encoder", "network", "head")

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Distribution:
        """Return the distributions for observations [..., *shape]."""
        features = call(self.network, call(self.encoder, observations))
        return call(self.head, features, split_mask(observations)[1])

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

    Raises:
        UnsupportedSpaceError: for a space without a fixed size.
        ValueError: for an unknown activation.
    """

    def __init__(
        self,
        observation_space: gym.Space,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        scale: ObservationScale | None = None,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(observation_space, scale)
        self.network = MLP([self.encoder.size, *hidden, 1], output_gain=1.0, activation=activation)

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values of observations [..., *shape]."""
        return call(self.network, call(self.encoder, observations)).squeeze(-1)


class MLPActionCritic(ActionCritic):
    """Q_ψ(s,·) by an MLP with an output for each action.

    Args:
        observation_space: of one environment.
        num_actions: A.
        hidden: sizes of the hidden layers.
        activation: of the hidden layers, "tanh" or "relu".
        scale: standardises the observations; the same one as the policy's.

    Raises:
        UnsupportedSpaceError: for a space without a fixed size.
        ValueError: for an unknown activation.
    """

    def __init__(
        self,
        observation_space: gym.Space,
        num_actions: int,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        scale: ObservationScale | None = None,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(observation_space, scale)
        self.network = MLP([self.encoder.size, *hidden, num_actions], output_gain=1.0, activation=activation)

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values of all actions, [..., A], for observations [..., *shape]."""
        return call(self.network, call(self.encoder, observations))
