"""What a distribution over actions is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self

import torch
from torch import Tensor


class Distribution(Protocol):
    """A distribution over actions for each of […] observations; actions have shape […, *event]."""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw one action for each observation."""
        ...

    def mode(self) -> Tensor:
        """Return the most probable action."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return ln π(a|s), […]."""
        ...

    def entropy(self) -> Tensor:
        """Return −E ln π(a|s) in nats, […]."""
        ...

    @classmethod
    def stack(cls, distributions: Sequence[Self]) -> Self:
        """Return T distributions of equal shape […] as one of shape [T, …]: a rollout's, made step by step."""
        ...
