"""A user's module as the encoder of observations."""

from __future__ import annotations

import copy
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from pg_agents.checks import whole_number
from pg_agents.data.tree import Tree, tree_map
from pg_agents.shown import shown

TRIAL = 2  # observations with which a module is tried


class OwnEncoder(nn.Module):
    """Turn observations into features [..., size] by a user's module.

    The module gets a batch of observations as they are, [N, *shape], without the action mask: a tensor, or a dict or
    tuple of tensors; pictures are bytes, so it divides them by 255 itself. It returns features [N, size], which depend
    on the row's observation and the parameters alone: acting and learning have to see the same features, so Dropout and
    BatchNorm are refused unless the module is in evaluation mode. It is tried on a few observations when it is given.

    Args:
        network: the module; its attribute `size` is the number of features.
        space: the space of one observation, without a mask.

    Raises:
        ValueError: it is no module, has no `size`, fails, returns another shape, other features for the same
            observations, or features without a gradient.
    """

    like: Tensor

    def __init__(self, network: nn.Module, space: gym.Space) -> None:
        super().__init__()
        name = type(network).__name__
        if not isinstance(network, nn.Module):
            raise ValueError(f"encoder must be a torch.nn.Module from observations to features, got {shown(network)}")
        if not hasattr(network, "size"):
            raise ValueError(f"encoder: {name} has no attribute size; set it to the number of features it returns")
        if any(is_lazy(parameter) for parameter in network.parameters()):
            raise ValueError(f"encoder: {name} has lazy layers, whose sizes are unknown; pass it a batch once before")
        self.size = whole_number("encoder.size", network.size, 1)
        self.network = network
        self.path, self.rank = _first_leaf(space)
        self.register_buffer("like", torch.zeros(0), persistent=False)  # has the dtype of the agent's networks
        _try(network, space, self.size)

    def forward(self, observations: Tree) -> Tensor:
        """Return the features of observations [..., *shape]."""
        leaf = observations
        for key in self.path:
            leaf = leaf[key]
        leading = leaf.shape[: leaf.ndim - self.rank]
        flat = tree_map(lambda part: part.reshape(-1, *part.shape[len(leading) :]), observations)
        return self.network(flat).reshape(*leading, self.size).to(self.like.dtype)


def _first_leaf(space: gym.Space) -> tuple[list[Any], int]:
    """Return the keys that lead to an array of an observation, and the array's rank."""
    path: list[Any] = []
    while isinstance(space, spaces.Dict | spaces.Tuple):
        keyed: Any = space.spaces
        key = next(iter(keyed)) if isinstance(space, spaces.Dict) else 0
        path.append(key)
        space = keyed[key]
    return path, len(space.shape or ())


def _try(network: nn.Module, space: gym.Space, size: int) -> None:
    """Raise ValueError unless the module returns finite [N, size] for N observations, each row by itself."""
    name = type(network).__name__
    try:
        batch = _samples(space)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            trial = copy.deepcopy(network)  # a trial may change buffers
            features, again, alone = trial(batch), trial(batch), trial(tree_map(lambda leaf: leaf[:1], batch))
    except Exception as error:  # any kind: it is not our code
        raise ValueError(
            f"encoder: {name} fails on a batch of {TRIAL} observations, or of one, of {shown(space)}: "
            f"{shown(error, 300)}; it gets them as they are, pictures as bytes (images.float() / 255 scales them)"
        ) from error
    found = list(features.shape) if isinstance(features, Tensor) else f"a {type(features).__name__}"
    if found != [TRIAL, size]:
        raise ValueError(
            f"encoder: {name} returned {found} for {TRIAL} observations, expected [{TRIAL}, {size}]: a row for each "
            "observation, with as many features as its attribute size says"
        )
    if not features.isfinite().all():
        raise ValueError(f"encoder: {name} returned features that are not finite for observations of {shown(space)}")
    if not _close(features, again) or not _close(features[:1], alone):
        raise ValueError(
            f"encoder: {name} returned different features for the same observation, called again or beside another "
            "observation; acting and learning must see the same: leave out Dropout, noise and BatchNorm (LayerNorm "
            "works), or call encoder.eval() before"
        )
    if any(parameter.requires_grad for parameter in network.parameters()) and not features.requires_grad:
        raise ValueError(f"encoder: {name} returned features without a gradient, so it would never learn")


def _samples(space: gym.Space) -> Tree:
    """Return a batch of observations; the space's own generator is left alone."""
    source = copy.deepcopy(space)
    source.seed(0)
    samples = [source.sample() for _ in range(TRIAL)]
    return tree_map(lambda *leaves: torch.from_numpy(np.stack([np.asarray(leaf) for leaf in leaves])), *samples)


def _close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one.double(), other.double(), rtol=1e-3, atol=1e-4)
