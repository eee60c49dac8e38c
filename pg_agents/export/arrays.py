"""The arrays that an exported policy takes and returns: their names, shapes and dtypes."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from pg_agents.data.tree import Tree, tree_leaves
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.spaces.action_masks import MASK, OBSERVATION, observes_mask

MEMORY, NEXT_MEMORY, NOISE, ACTION = "memory", "next_memory", "noise", "action"


@dataclass(frozen=True)
class Leaf:
    """One array of an observation.

    Attributes:
        name: of the input.
        space: a Box, Discrete, MultiDiscrete or MultiBinary.
    """

    name: str
    space: gym.Space

    @property
    def dtype(self) -> torch.dtype:
        """Its dtype, that of the space."""
        return torch_dtype(self.space, self.name)

    def as_seen(self, given: Tensor) -> Tensor:
        """Return the array as a policy gets it: categories as int64."""
        return given if isinstance(self.space, spaces.Box) else given.long()


def torch_dtype(space: gym.Space, name: str) -> torch.dtype:
    """Return torch's dtype for the arrays of a space.

    Raises:
        UnsupportedSpaceError: torch, or ONNX as torch writes it, has none.
    """
    known = {"uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"}
    if str(space.dtype) not in known:
        raise UnsupportedSpaceError(f"{name}: {space} has the dtype {space.dtype}, which cannot be exported; use int64")
    return getattr(torch, str(space.dtype))


def leaves_of(space: gym.Space) -> Tree:
    """Return the arrays of an observation as a tree in which each stands where it stands in the observation.

    They are called observation, in a Dict observation.KEY, in a Tuple observation.0; a mask is action_mask.
    """
    if not observes_mask(space):
        found: Tree = _leaves(space, OBSERVATION)
    else:
        inner: Any = space
        alone = set(inner.spaces) == {MASK, OBSERVATION}
        names = {key: key if key == MASK or alone else f"{OBSERVATION}.{key}" for key in inner.spaces}
        found = {key: _leaves(part, names[key]) for key, part in inner.items()}
    called = [leaf.name for leaf in tree_leaves(found)]
    if twice := next((name for name in called if called.count(name) > 1), None):
        raise UnsupportedSpaceError(
            f"observation space {space}: two of its arrays would be called {twice!r}; rename one"
        )
    return found


def _leaves(space: gym.Space, name: str) -> Tree:
    if isinstance(space, spaces.Dict):
        return {key: _leaves(part, f"{name}.{key}") for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_leaves(part, f"{name}.{index}") for index, part in enumerate(space.spaces))
    return Leaf(name, space)


def samples_of(form: Tree, rows: int) -> list[Tensor]:
    """Return observations drawn from the spaces of `form`, [rows, *shape] for each; the spaces' own generators stay."""
    return [_samples(leaf, rows, seed) for seed, leaf in enumerate(tree_leaves(form))]


def _samples(leaf: Leaf, rows: int, seed: int) -> Tensor:
    space = copy.deepcopy(leaf.space)
    space.seed(seed)
    drawn = np.stack([np.asarray(space.sample()) for _ in range(rows)]).astype(leaf.space.dtype)
    if leaf.name == MASK:
        drawn[:] = 1  # a mask may not forbid everything
    return torch.from_numpy(drawn)


def described(form: Tree) -> Iterator[tuple[str, list[Any], str]]:
    """Yield the name, the shape with a first axis `batch`, and the dtype of each array of `form`."""
    for leaf in tree_leaves(form):
        yield leaf.name, ["batch", *(leaf.space.shape or ())], str(leaf.space.dtype)
