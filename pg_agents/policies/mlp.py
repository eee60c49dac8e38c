"""Multi-layer perceptrons for vectors of features."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from pg_agents.distributions import Categorical, DiagonalGaussian, Distribution
from pg_agents.policies.encoder import Encoder, UnsupportedSpaceError
from pg_agents.policies.policy import ActionCritic, Critic, Memory, Policy
from pg_agents.tree import Tree


def mlp(sizes: Sequence[int], output_gain: float) -> nn.Sequential:
    """Return a tanh network of the given layer sizes, weights orthogonal (gain √2, the last layer `output_gain`)."""
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        linear = nn.Linear(inputs, outputs)
        last = i == len(sizes) - 2
        nn.init.orthogonal_(linear.weight, output_gain if last else 2**0.5)
        nn.init.zeros_(linear.bias)
        layers += [linear] if last else [linear, nn.Tanh()]
    return nn.Sequential(*layers)


class MLPPolicy(Policy):
    """π_θ(·|s) with an MLP's outputs as logits (Discrete actions) or as the mean of a Gaussian (Box actions).

    The Gaussian's log standard deviations are parameters that do not depend on the state. Where a Box has bounds, what
    the network calls −1 … 1 is spread over them: the mean starts in the middle, σ = 1 is half the width.

    Args:
        observation_space: of one environment.
        action_space: of one environment, Discrete or Box.
        hidden: sizes of the hidden layers.
        initial_log_std: ln σ at the start, for Box actions.

    Raises:
        UnsupportedSpaceError: for other spaces.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        hidden: Sequence[int] = (64, 64),
        initial_log_std: float = 0.0,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(observation_space)
        self.log_std: nn.Parameter | None = None
        if isinstance(action_space, spaces.Discrete):
            outputs = int(action_space.n)
        elif isinstance(action_space, spaces.Box):
            outputs = int(torch.tensor(action_space.shape).prod())
            self.log_std = nn.Parameter(torch.full((outputs,), initial_log_std))
            bounded = np.isfinite(action_space.low) & np.isfinite(action_space.high)
            low, high = (np.where(bounded, bound, sign).ravel() for bound, sign in _bounds(action_space))
            self.register_buffer("centre", torch.as_tensor((low + high) / 2, dtype=torch.float32), persistent=False)
            self.register_buffer("scale", torch.as_tensor((high - low) / 2, dtype=torch.float32), persistent=False)
        else:
            raise UnsupportedSpaceError(
                f"action space {action_space} is not supported: use Discrete or Box, or pass your own policy=..."
            )
        self.network = mlp([self.encoder.size, *hidden, outputs], output_gain=0.01)

    def forward(self, observations: Tree, memory: Memory = None, starts: Tensor | None = None) -> Distribution:
        """Return the distributions for observations [..., *shape]."""
        outputs = self.network(self.encoder(observations))
        if self.log_std is None:
            return Categorical(outputs)
        return DiagonalGaussian(self.centre + self.scale * outputs, self.log_std + self.scale.log())


def _bounds(space: spaces.Box) -> tuple[tuple[np.ndarray, float], tuple[np.ndarray, float]]:
    """Return the bounds, and what stands for them where there are none: those that leave numbers as they are."""
    return (space.low.astype(np.float64), -1.0), (space.high.astype(np.float64), 1.0)


class MLPCritic(Critic):
    """V_ψ(s) by an MLP.

    Args:
        observation_space: of one environment.
        hidden: sizes of the hidden layers.

    Raises:
        UnsupportedSpaceError: for a space without a fixed size.
    """

    def __init__(self, observation_space: gym.Space, *, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        self.encoder = Encoder(observation_space)
        self.network = mlp([self.encoder.size, *hidden, 1], output_gain=1.0)

    def forward(self, observations: Tree, memory: Memory = None, starts: Tensor | None = None) -> Tensor:
        """Return the values of observations [..., *shape]."""
        return self.network(self.encoder(observations)).squeeze(-1)


class MLPActionCritic(ActionCritic):
    """Q_ψ(s,·) by an MLP with an output for each action.

    Args:
        observation_space: of one environment.
        num_actions: A.
        hidden: sizes of the hidden layers.

    Raises:
        UnsupportedSpaceError: for a space without a fixed size.
    """

    def __init__(self, observation_space: gym.Space, num_actions: int, *, hidden: Sequence[int] = (64, 64)) -> None:
        super().__init__()
        self.encoder = Encoder(observation_space)
        self.network = mlp([self.encoder.size, *hidden, num_actions], output_gain=1.0)

    def forward(self, observations: Tree, memory: Memory = None, starts: Tensor | None = None) -> Tensor:
        """Return the values of all actions, [..., A], for observations [..., *shape]."""
        return self.network(self.encoder(observations))
