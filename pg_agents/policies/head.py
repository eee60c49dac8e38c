"""The interface of action heads."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from pg_agents.distributions import Distribution


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
