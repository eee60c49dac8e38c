"""Encoders: observations of any fixed-size space → a vector of features."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from pg_agents._fast.module_calls import hold_directly
from pg_agents.data.encoded import Encoded
from pg_agents.data.rollout import Rollout
from pg_agents.data.tree import Tree, tree_map
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies.activations import Activation
from pg_agents.policies.image_encoder import ImageEncoder
from pg_agents.policies.layers import Hidden
from pg_agents.policies.normalization import ObservationScale
from pg_agents.policies.own_encoder import OwnEncoder
from pg_agents.spaces.action_masks import split_mask, without_mask
from pg_agents.spaces.pictures import picture_of, range_of


class Encoder(nn.Module):
    """Turn observations into features [..., size].

    Categories become one-hot vectors, pictures (see `pictures.picture_of`) pass through a convolutional network, and
    other arrays are flattened, bounded integers scaled to 0 … 1 first (see `pictures.range_of`). The features of the
    parts of a Dict or Tuple are concatenated. An action mask is left out.

    Args:
        space: the space of one observation: Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or Tuple of them.
        scale: standardises the observations first; None: they are not standardised.
        network: a module of the user's that does all this instead; see `OwnEncoder`.
        hidden: sizes of hidden layers on top of the features.
        activation: of those layers, "tanh" or "relu".

    Attributes:
        shared: whether a critic shares the encoder with the policy, which then encodes observations when it acts.

    Raises:
        UnsupportedSpaceError: another space, a space without numbers, or images that are too small.
        ValueError: `network` does not return [N, size] for N observations.
    """

    shared: bool = False

    def __init__(
        self,
        space: gym.Space,
        scale: ObservationScale | None = None,
        *,
        network: nn.Module | None = None,
        hidden: Sequence[int] = (),
        activation: Activation = "tanh",
    ) -> None:
        super().__init__()
        self.part = _part(without_mask(space)) if network is None else OwnEncoder(network, without_mask(space))
        self.scale = scale
        self.size = self.part.size
        if not self.size:
            raise UnsupportedSpaceError(f"observation space {space} holds no numbers: give it at least one number")
        self.hidden = Hidden(self.size, hidden, activation) if hidden else None
        if self.hidden is not None:
            self.size = self.hidden.size
        hold_directly(self, "part")

    def forward(self, observations: Tree) -> Tensor:
        """Return the features of observations [..., *space.shape], with or without a mask."""
        seen = split_mask(observations)[0]
        if isinstance(seen, Encoded):
            return seen.features
        features = self.part.forward(seen if self.scale is None else self.scale(seen))
        return features if self.hidden is None else self.hidden(features)

    def encode(self, observations: Tree) -> Encoded:
        """Return the features of observations, and their mask, for networks that share the encoder."""
        return Encoded(self(observations), split_mask(observations)[1])

    def recalled(self, rollout: Rollout) -> Tree:
        """Return a rollout's observations; encoded, if this encoder with these parameters did so when acting.

        A version does not change with every way to change a parameter, so the first row is encoded again and compared.
        """
        if rollout.features is None or rollout.encoder_version != self.version():
            return rollout.observations
        before, now = rollout.features[0], self(tree_map(itemgetter(0), rollout.observations))
        if before.dtype != now.dtype or not torch.allclose(before, now, rtol=1e-3, atol=1e-4):
            return rollout.observations
        return Encoded(rollout.features)  # values need no mask

    def version(self) -> tuple[int, int]:
        """Return a number that changes with the parameters and buffers, beside the encoder's identity."""
        return id(self), sum(tensor._version for tensor in (*self.parameters(), *self.buffers()))


def give_encoder(critic: Any, encoder: Encoder, *, shared: bool) -> None:  # noqa: ANN401
    """Make an encoder a critic's own part; or the policy's, which then is neither trained nor saved with the critic."""
    if not shared:
        critic.encoder = encoder
        return
    vars(critic)["encoder"] = vars(critic)["shared_encoder"] = encoder  # past nn.Module: not a part
    encoder.shared = True


def has_images(space: gym.Space) -> bool:
    """Return whether an observation is an image or contains one."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return any(has_images(part) for _, part in _items(space))
    return picture_of(space) is not None


def _part(space: gym.Space) -> _Several | _Flat | _OneHot | ImageEncoder:
    """Return the encoder for one space."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        return _Several(space)
    if isinstance(space, spaces.Discrete):
        return _OneHot([int(space.n)], [int(space.start)], rank=0)
    if isinstance(space, spaces.MultiDiscrete):
        counts, starts = space.nvec.flatten(), space.start.flatten()
        return _OneHot([int(n) for n in counts], [int(n) for n in starts], rank=len(space.shape))
    if isinstance(space, spaces.Box) and picture_of(space) is not None:
        return ImageEncoder(space)
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return _Flat(space)
    raise UnsupportedSpaceError(
        f"observation space {space} is not supported: use Box, Discrete, MultiDiscrete, MultiBinary, or a Dict or "
        "Tuple of these, or pass your own networks (policy=..., critic=...)"
    )


def _items(space: spaces.Dict | spaces.Tuple) -> list[tuple[str | int, gym.Space]]:
    return list(space.items()) if isinstance(space, spaces.Dict) else list(enumerate(space.spaces))


class _Several(nn.Module):
    """The concatenated features of the parts of a Dict or Tuple."""

    def __init__(self, space: spaces.Dict | spaces.Tuple) -> None:
        super().__init__()
        parts: dict[str | int, Any] = {key: _part(inner) for key, inner in _items(space)}
        self.keys = [key for key, part in parts.items() if part.size]
        self.parts = nn.ModuleList([parts[key] for key in self.keys])
        self.size: int = sum(parts[key].size for key in self.keys)

    def forward(self, observations: Tree) -> Tensor:
        return torch.cat([part(observations[key]) for key, part in zip(self.keys, self.parts, strict=True)], -1)


class _Flat(nn.Module):
    """Numbers [..., *shape] flattened to [..., size], bounded integers scaled to 0 … 1."""

    like: Tensor
    low: Tensor
    factor: Tensor

    def __init__(self, space: spaces.Box | spaces.MultiBinary) -> None:
        super().__init__()
        shape, bounds = space.shape, range_of(space)
        self.scaled = bounds is not None
        if bounds is not None:  # saved, so that files of earlier versions, which scaled nothing, are recognised
            self.register_buffer("low", torch.as_tensor(bounds[0], dtype=torch.float32))
            self.register_buffer("factor", torch.as_tensor(1 / bounds[1], dtype=torch.float32))
        self.register_buffer("like", torch.zeros(0), persistent=False)  # has the dtype of the module's features
        self.rank, self.size = len(shape), int(np.prod(shape))

    def forward(self, observations: Tensor) -> Tensor:
        dtype = self._buffers["like"].dtype  # type: ignore[union-attr] # faster than self.like
        if self.scaled:
            return (_flatten(observations, self.rank).to(dtype) - self.low) * self.factor
        if self.rank == 1:
            return observations if observations.dtype is dtype else observations.to(dtype)
        return _flatten(observations, self.rank).to(dtype)


class _OneHot(nn.Module):
    """Integers as one-hot vectors: one feature for each value."""

    like: Tensor
    starts: Tensor

    def __init__(self, categories: list[int], starts: list[int], rank: int) -> None:
        super().__init__()
        self.register_buffer("like", torch.zeros(0), persistent=False)
        self.register_buffer("starts", torch.as_tensor(starts), persistent=False)
        self.categories, self.rank, self.size = categories, rank, sum(categories)

    def forward(self, observations: Tensor) -> Tensor:
        indices = _flatten(observations, self.rank).long() - self.starts
        hot = [functional.one_hot(indices[..., i], n) for i, n in enumerate(self.categories)]
        return (hot[0] if len(hot) == 1 else torch.cat(hot, -1)).to(self.like.dtype)


def _flatten(observations: Tensor, rank: int) -> Tensor:
    return observations.flatten(-rank) if rank > 1 else observations[..., None] if rank == 0 else observations
