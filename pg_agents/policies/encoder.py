"""Observations of any fixed-size space → a vector of features."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from pg_agents.tree import Tree


class UnsupportedSpaceError(ValueError):
    """A space for which there is no network; the message names it and the way out."""


class Encoder(nn.Module):
    """Turn observations into features [..., size]: integers become one-hot, the rest is flattened and concatenated.

    Args:
        space: of one observation: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict of them.

    Raises:
        UnsupportedSpaceError: for any other space.
    """

    size: int

    like: Tensor

    def __init__(self, space: gym.Space) -> None:
        super().__init__()
        self.space = space
        self.register_buffer("like", torch.zeros(0), persistent=False)  # of the dtype of the module's features
        self.children_by_key = None
        if isinstance(space, spaces.Dict):
            self.children_by_key = nn.ModuleDict({key: Encoder(value) for key, value in space.items()})
            self.size = sum(child.size for child in self.children_by_key.values())  # type: ignore[misc]
        elif isinstance(space, spaces.Box | spaces.MultiBinary):
            self.size = int(np.prod(space.shape))
        elif isinstance(space, spaces.Discrete):
            self.categories, self.start, self.size = [int(space.n)], int(space.start), int(space.n)
        elif isinstance(space, spaces.MultiDiscrete):
            self.categories = [int(n) for n in space.nvec.flatten()]
            self.register_buffer("starts", torch.as_tensor(space.start.flatten()))
            self.size = sum(self.categories)
        else:
            raise UnsupportedSpaceError(
                f"observation space {space} is not supported: use Box, Discrete, MultiDiscrete, MultiBinary or a Dict "
                "of these, or pass your own networks (policy=..., critic=...)"
            )

    def forward(self, observations: Tree) -> Tensor:
        """Return the features of observations [..., *space.shape]."""
        if self.children_by_key is not None:
            return torch.cat([child(observations[key]) for key, child in self.children_by_key.items()], -1)
        if isinstance(self.space, spaces.Discrete):
            return nn.functional.one_hot(observations - self.start, self.size).to(self.like.dtype)
        rank = len(self.space.shape or ())
        flat = observations.flatten(-rank) if rank > 1 else observations[..., None] if rank == 0 else observations
        if isinstance(self.space, spaces.MultiDiscrete):
            indices = flat - self.starts
            hot = [nn.functional.one_hot(indices[..., i], n) for i, n in enumerate(self.categories)]
            return torch.cat(hot, -1).to(self.like.dtype)
        return flat.to(self.like.dtype)
