"""Fully connected layers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from pg_agents._fast.module_calls import call
from pg_agents.data.learners import learner_first, learner_last
from pg_agents.policies.activations import ACTIVATIONS, Activation


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

    @staticmethod
    def stacked(networks: Sequence[MLP]) -> StackedMLP:
        """Return the networks of several learners as one."""
        return StackedMLP(networks)


def together(modules: Iterable[nn.Module]) -> Iterator[tuple[str, list[Tensor]]]:
    """Yield the name of each parameter and buffer of modules of one kind, and what each of them has there."""
    states = [module.state_dict() for module in modules]
    for name in states[0]:
        yield name, [state[name] for state in states]


class StackedLinear(nn.Module):
    """A linear layer of each of L learners: y_i = x_i W_iᵀ + b_i, for rows [L, n, inputs].

    Args:
        layers: of the learners, of equal sizes.
    """

    def __init__(self, layers: Iterable[nn.Linear]) -> None:
        super().__init__()
        for name, parts in together(layers):
            self.register_parameter(name, nn.Parameter(torch.stack(parts)))

    def forward(self, rows: Tensor) -> Tensor:
        """Return the outputs, [L, n, outputs]."""
        parameters = self._parameters  # faster than self.weight
        return torch.baddbmm(parameters["bias"][:, None], rows, parameters["weight"].mT)  # type: ignore[index,union-attr]


class StackedMLP(nn.Sequential):
    """An `MLP` of each of L learners.

    Args:
        networks: of the learners, of equal sizes.
    """

    def __init__(self, networks: Sequence[MLP]) -> None:
        super().__init__(*map(StackedLinear, zip(*networks, strict=True)))
        self.activate, self.num_learners = networks[0].activate, len(networks)

    def forward(self, features: Tensor) -> Tensor:
        """Return the outputs [..., L · b, sizes[-1]] for features [..., L · b, sizes[0]]."""
        *hidden, last = self._modules.values()
        rows = learner_first(features, self.num_learners)
        for layer in hidden:
            rows = self.activate(call(layer, rows))
        return learner_last(call(last, rows), features)


class Hidden(nn.Module):
    """Hidden layers alone, with the activation after each: features [..., inputs] → [..., size].

    Args:
        inputs: the number of features.
        sizes: the sizes of the layers.
        activation: of each layer, "tanh" or "relu".
    """

    def __init__(self, inputs: int, sizes: Sequence[int], activation: Activation = "tanh") -> None:
        super().__init__()
        self.layers = MLP([inputs, *sizes], output_gain=2**0.5, activation=activation)
        self.size = sizes[-1]

    def forward(self, features: Tensor) -> Tensor:
        """Return the activations of the last layer."""
        return self.layers.activate(self.layers(features))
