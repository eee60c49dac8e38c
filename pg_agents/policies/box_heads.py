"""Action heads for real numbers."""

from __future__ import annotations

import copy
from abc import ABC
from collections.abc import Sequence

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn

from pg_agents.data.learners import of_columns
from pg_agents.distributions import DiagonalGaussian, SquashedGaussian
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies.head import Head


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

    @staticmethod
    def stacked(heads: Sequence[BoxHead]) -> BoxHead:
        """Return the heads of L learners as one, with ln σ of each, [L, D]."""
        whole = copy.deepcopy(heads[0])
        whole.log_std = nn.Parameter(torch.stack([head.log_std.detach() for head in heads]))
        return whole

    def log_std_of(self, outputs: Tensor) -> Tensor:
        """Return ln σ of distributions with outputs [..., D]: [D], or [B, D] for B columns of several learners."""
        log_std: Tensor = self._parameters["log_std"]  # type: ignore[assignment] # faster than self.log_std
        return log_std if log_std.ndim == 1 else of_columns(log_std, outputs.shape[-2])

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
        return DiagonalGaussian(outputs, self.log_std_of(outputs), None if self.standard else self.log_scale)

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
        return SquashedGaussian(outputs, self.log_std_of(outputs), self.log_scale)

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return c + s tanh u for actions u, [B, D]."""
        return self.place(actions.double().tanh())
