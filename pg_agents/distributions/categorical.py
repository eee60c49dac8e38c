"""Distributions over finitely many actions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from pg_agents._fast.sampling import sample
from pg_agents.generators import Source


class Categorical:
    """π(a) = exp(z_a) / Σ_b exp(z_b), over A actions.

    Args:
        unnormalized: z, […, A]; −∞ makes an action impossible, unless it does so for all of them.
    """

    def __init__(self, unnormalized: Tensor) -> None:
        self.unnormalized = unnormalized

    @cached_property
    def logits(self) -> Tensor:
        """The normalised logits, ln π(a), […, A]."""
        return self.unnormalized.log_softmax(-1)

    def sample(self, generator: Source = None) -> Tensor:
        """Draw actions, int64 […]."""
        return sample(self.unnormalized, generator)

    def mode(self) -> Tensor:
        """Return argmax_a π(a), int64 […]; the lowest index among equals."""
        return self.unnormalized.argmax(-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return ln π(a) for int64 actions […]."""
        return self.logits.gather(-1, actions[..., None]).squeeze(-1)

    def entropy(self) -> Tensor:
        """Return −Σ_a π(a) ln π(a), […]; 0 ln 0 = 0, with gradient 0 (below ln π = −1000, π is 0 in any precision)."""
        return -(self.logits.exp() * self.logits.clamp(min=-1000.0)).sum(-1)

    def is_finite(self) -> bool:
        """Return whether no z is NaN or +∞."""
        return self.unnormalized.sum().item() < math.inf or bool((self.unnormalized < math.inf).all())

    def probabilities(self) -> Tensor:
        """Return π(a), […, A]."""
        return self.logits.exp()

    @classmethod
    def stack(cls, distributions: Sequence[Self]) -> Self:
        """Return T distributions of equal shape […] as one of shape [T, …]."""
        return cls(torch.stack([distribution.unnormalized for distribution in distributions]))
