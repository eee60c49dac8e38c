"""Action heads: a network's outputs → a distribution over the actions of a space.

A head says how many `outputs` it wants, turns them (and the mask of allowed actions, see
`pg_agents.spaces.action_masks`) into a distribution, and knows how actions as sampled
become actions as the environment means them (`unscale_action`).
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
        outputs: how many it needs.
    """

    outputs: int

    @abstractmethod
    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> Distribution:
        """Return the distributions for a network's outputs [..., outputs]; `mask`: allowed actions, [..., entries]."""

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return actions as sampled, [B, …], in the units of the environment."""
        return actions


def make_head(action_space: gym.Space, *, squash: bool = False, initial_log_std: float = 0.0) -> Head:
    """Return the head for the actions of one environment.

    Args:
        action_space: Discrete, MultiDiscrete, MultiBinary or Box.
        squash: for a Box with bounds: a Gaussian squashed into them by tanh, instead of one that is clipped.
        initial_log_std: ln σ at the start, for a Box.

    Raises:
        UnsupportedSpaceError: for other spaces, and for a squashed Gaussian without bounds on all sides.
        ValueError: `squash` or `initial_log_std` for other actions than a Box's.
    """
    if action_space.shape is not None and 0 in action_space.shape:
        raise UnsupportedSpaceError(f"action space {action_space} leaves nothing to choose: give it a number or more")
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
    """Raise UnsupportedSpaceError where observations hold a mask that does not fit the actions."""
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
    """Return logits [..., A] with −∞ where `mask` [..., A] is zero; as they are where it is zero everywhere."""
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
        space: of K choices with nvec options; of higher rank: in the order of its elements.
    """

    index: Tensor
    present: Tensor

    def __init__(self, space: spaces.MultiDiscrete) -> None:
        super().__init__()
        counts = torch.as_tensor(space.nvec.flatten().astype(np.int64))
        self.outputs = int(counts.sum())
        index = torch.full(
            (len(counts), int(counts.max())), self.outputs
        )  # [K, N]; what is missing lies behind the logits, at −∞
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
        space: of N bits; of higher rank: in the order of its elements.
    """

    def __init__(self, space: spaces.MultiBinary) -> None:
        super().__init__()
        self.outputs = int(np.prod(space.shape))

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> Bernoulli:
        """Return the distributions for logits [..., N]; bits where `mask` [..., N] is False stay 0."""
        return Bernoulli(outputs if mask is None else torch.where(mask.bool(), outputs, -torch.inf))


class BoxHead(Head, ABC):
    """What heads for D real numbers share: ln σ, parameters that do not depend on the state, and where the box lies.

    Where it has bounds, c is their middle and s half their distance; elsewhere c = 0 and s = 1. Actions are sampled and
    recorded in these units, from that place, and become c + s a in 64 bits: what is far from 0 keeps its digits.

    Args:
        space: of D = its number of elements.
        initial_log_std: at the start.
    """

    log_scale: Tensor

    def __init__(self, space: spaces.Box, initial_log_std: float = 0.0) -> None:
        super().__init__()
        self.outputs = int(np.prod(space.shape))
        self.log_std = nn.Parameter(torch.full((self.outputs,), float(initial_log_std)))
        bounded = (space.bounded_below & space.bounded_above).ravel()
        low, high = (np.where(bounded, bound.astype(np.float64).ravel(), 0.0) for bound in (space.low, space.high))
        scale = np.where(high > low, high / 2 - low / 2, 1.0)  # the halves first: a difference of bounds may overflow
        self.centre, self.scale = torch.from_numpy(low / 2 + high / 2), torch.from_numpy(scale)  # float64 for good
        self.register_buffer("log_scale", torch.as_tensor(np.log(scale), dtype=torch.float32), persistent=False)

    def place(self, units: Tensor) -> Tensor:
        """Return c + s · units, float64 [B, D], where environments are: on the CPU."""
        return torch.addcmul(self.centre, self.scale, units.cpu())

    def refuse(self, mask: Tensor | None) -> None:
        """Raise ValueError where there is a mask."""
        if mask is not None:
            raise ValueError("action_mask: Box actions have no mask; leave it out of the observation")


class GaussianHead(BoxHead):
    """Outputs are the mean of a `DiagonalGaussian`.

    What the network calls −1 … 1 is spread over the box: an action a ~ N(output, e^{2 log_std}) means c + s a, in the
    terms of `BoxHead`. What is sampled beyond the bounds is clipped at the environment's door.
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
        UnsupportedSpaceError: a bound is missing.
    """

    def __init__(self, space: spaces.Box, initial_log_std: float = 0.0) -> None:
        super().__init__(space, initial_log_std)
        if not (space.bounded_below & space.bounded_above).all():
            raise UnsupportedSpaceError(f"squash=True needs a Box with bounds on all sides, got {space}: leave it out")

    def forward(self, outputs: Tensor, mask: Tensor | None = None) -> SquashedGaussian:
        """Return the distributions for outputs [..., D]."""
        self.refuse(mask)
        return SquashedGaussian(outputs, self.log_std, self.log_scale)

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return c + s tanh u for actions u, [B, D]."""
        return self.place(actions.double().tanh())
