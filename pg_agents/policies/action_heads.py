"""Action heads: a network's outputs → a distribution over the actions of a space.

A head has a number of `outputs`, turns them (and the mask of allowed actions, see `pg_agents.spaces.action_masks`) into
a distribution, and converts sampled actions to the environment's units (`unscale_action`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn import functional

from pg_agents.distributions import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
    SquashedGaussian,
)
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.spaces.action_masks import MASK, mask_size, observes_mask


class Head(nn.Module, ABC):
    """Outputs [..., outputs] → a distribution.

    Attributes:
        outputs: how many outputs of a network the head takes.
    """

    outputs: int

    @abstractmethod
    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> Distribution:
        """Return the distributions for a network's outputs [..., outputs]; `mask`: allowed actions, [..., entries]."""

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return actions as sampled, [B, …], in the units of the environment."""
        return actions


def make_head(action_space: gym.Space, *, squash: bool = False, initial_log_std: float = 0.0) -> Head:
    """Return the head for an action space.

    Args:
        action_space: Discrete, MultiDiscrete, MultiBinary or Box.
        squash: for a bounded Box: a Gaussian squashed into the bounds by tanh, instead of a clipped one.
        initial_log_std: ln σ before training, for a Box.

    Raises:
        UnsupportedSpaceError: another space, or `squash` for a Box without bounds on all sides.
        ValueError: `squash` or `initial_log_std` for a space that is no Box.
    """
    if action_space.shape is not None and 0 in action_space.shape:
        raise UnsupportedSpaceError(f"action space {action_space} has no components: give it at least one")
    if isinstance(action_space, spaces.Box):
        return SquashedHead(action_space, initial_log_std) if squash else GaussianHead(action_space, initial_log_std)
    for name, given in (("squash", squash), ("initial_log_std", initial_log_std != 0.0)):
        if given:
            raise ValueError(f"{name} is for Box actions: leave it out for {action_space}")
    if isinstance(action_space, spaces.Discrete):
        return DiscreteHead(int(action_space.n))
    if isinstance(action_space, spaces.MultiDiscrete):
        return MultiDiscreteHead(action_space)
    if isinstance(action_space, spaces.MultiBinary):
        return MultiBinaryHead(action_space)
    raise UnsupportedSpaceError(
        f"action space {action_space} is not supported: use Discrete, MultiDiscrete, MultiBinary or Box (a Dict or a "
        "Tuple of finite spaces can be written as one MultiDiscrete), or pass your own policy=..."
    )


def check_mask(observation_space: gym.Space, action_space: gym.Space) -> None:
    """Raise UnsupportedSpaceError if observations contain a mask that does not fit the actions."""
    if not observes_mask(observation_space):
        return
    mask, size = observation_space[MASK], mask_size(action_space)  # type: ignore[index] # a Dict
    shape = mask.shape if isinstance(mask, spaces.Box | spaces.MultiBinary) else None
    if size is None or shape != (size,):
        raise UnsupportedSpaceError(
            f"observation space {observation_space}: its {MASK!r} must be a mask of the actions {action_space}, "
            + ("which have none; give it another name" if size is None else f"a MultiBinary({size})")
        )


def allow(logits: Tensor, mask: Tensor | None) -> Tensor:
    """Return logits [..., A] with −∞ where `mask` [..., A] is 0; unchanged where the mask is 0 for all actions."""
    if mask is None:
        return logits
    allowed = mask.bool()
    return torch.where(allowed | ~allowed.any(-1, keepdim=True), logits, -torch.inf)


class DiscreteHead(Head):
    """Outputs are the logits of a `Categorical`.

    Args:
        num_actions: A.
    """

    def __init__(self, num_actions: int) -> None:
        super().__init__()
        self.outputs = num_actions

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> Categorical:
        """Return the distributions for logits [..., A] and a mask [..., A]."""
        return Categorical(allow(outputs, mask))


class MultiDiscreteHead(Head):
    """Outputs are the logits of all choices side by side, Σ nvec; actions are int64 [..., K].

    Args:
        space: K choices with nvec options each; a space of higher rank is flattened.
    """

    index: Tensor
    present: Tensor

    def __init__(self, space: spaces.MultiDiscrete) -> None:
        super().__init__()
        counts = torch.as_tensor(space.nvec.flatten().astype(np.int64))
        self.outputs = int(counts.sum())
        index = torch.full(
            (len(counts), int(counts.max())), self.outputs
        )  # [K, N]; missing options point behind the logits, to −∞
        present = torch.arange(index.shape[1]) < counts[:, None]  # [K, N]: which options each choice has
        index[present] = torch.arange(self.outputs)
        self.register_buffer("index", index.ravel(), persistent=False)
        self.register_buffer("present", present, persistent=False)
        self.regular = bool(present.all())

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> MultiCategorical:
        """Return the distributions for logits [..., Σ nvec] and a mask [..., Σ nvec]."""
        logits = self._by_choice(outputs, -torch.inf)
        if mask is not None:
            logits = allow(logits, self._by_choice(mask.bool(), False))
        return MultiCategorical(logits)

    def _by_choice(self, flat: Tensor, missing: float) -> Tensor:
        """Return [..., Σ nvec] as [..., K, N], with `missing` where a choice has no such option."""
        if not self.regular:
            flat = functional.pad(flat, (0, 1), value=missing).index_select(-1, self.index)
        return flat.unflatten(-1, self.present.shape)


class MultiBinaryHead(Head):
    """Outputs are the logits of independent bits, `Bernoulli`; actions are int64 [..., N].

    Args:
        space: N bits; a space of higher rank is flattened.
    """

    def __init__(self, space: spaces.MultiBinary) -> None:
        super().__init__()
        self.outputs = int(np.prod(space.shape))

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> Bernoulli:
        """Return the distributions for logits [..., N]; bits where `mask` [..., N] is False stay 0."""
        return Bernoulli(outputs if mask is None else torch.where(mask.bool(), outputs, -torch.inf))


class BoxHead(Head, ABC):
    """The base of heads for D real numbers: parameters ln σ that do not depend on the state, and the box's place.

    Where the box has bounds, c is their middle and s half their distance; elsewhere c = 0 and s = 1. Actions a are
    sampled and recorded in units s relative to c, and c + s a is computed in float64, which keeps digits far from 0.

    Args:
        space: a Box of D elements.
        initial_log_std: ln σ before training.
    """

    log_scale: Tensor

    def __init__(self, space: spaces.Box, initial_log_std: float = 0.0) -> None:
        super().__init__()
        self.outputs = int(np.prod(space.shape))
        self.log_std = nn.Parameter(torch.full((self.outputs,), float(initial_log_std)))
        bounded = (space.bounded_below & space.bounded_above).ravel()
        low, high = (np.where(bounded, bound.astype(np.float64).ravel(), 0.0) for bound in (space.low, space.high))
        scale = np.where(high > low, high / 2 - low / 2, 1.0)  # halves: the difference of bounds may overflow
        self.centre, self.scale = torch.from_numpy(low / 2 + high / 2), torch.from_numpy(scale)  # always float64
        self.register_buffer("log_scale", torch.as_tensor(np.log(scale), dtype=torch.float32), persistent=False)

    def place(self, units: Tensor) -> Tensor:
        """Return c + s · units, float64 [B, D], on the CPU."""
        return torch.addcmul(self.centre, self.scale, units.cpu())

    def refuse(self, mask: Tensor | None) -> None:
        """Raise ValueError if there is a mask."""
        if mask is not None:
            raise ValueError("action_mask: Box actions have no mask; leave it out of the observation")


class GaussianHead(BoxHead):
    """Outputs are the mean of a `DiagonalGaussian`.

    The interval −1 … 1 is mapped to the box: an action a ~ N(output, e^{2 log_std}) is c + s a in the environment's
    units (see `BoxHead`). Samples beyond the bounds are clipped by `to_env_action`.
    """

    def __init__(self, space: spaces.Box, initial_log_std: float = 0.0) -> None:
        super().__init__(space, initial_log_std)
        self.standard = bool((self.centre == 0).all() and (self.scale == 1).all())

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> DiagonalGaussian:
        """Return the distributions for outputs [..., D]."""
        self.refuse(mask)
        return DiagonalGaussian(outputs, self.log_std, None if self.standard else self.log_scale)

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return c + s a for actions a, [B, D]."""
        return actions if self.standard else self.place(actions)


class SquashedHead(BoxHead):
    """Outputs are the mean of a `SquashedGaussian` before its tanh; actions are u, [..., D].

    Raises:
        UnsupportedSpaceError: the box lacks a bound.
    """

    def __init__(self, space: spaces.Box, initial_log_std: float = 0.0) -> None:
        super().__init__(space, initial_log_std)
        if not (space.bounded_below & space.bounded_above).all():
            raise UnsupportedSpaceError(f"squash=True needs a Box with bounds on all sides, got {space}: omit squash")

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> SquashedGaussian:
        """Return the distributions for outputs [..., D]."""
        self.refuse(mask)
        return SquashedGaussian(outputs, self.log_std, self.log_scale)

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return c + s tanh u for actions u, [B, D]."""
        return self.place(actions.double().tanh())
