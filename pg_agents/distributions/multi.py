"""Distributions over vectors of independent choices."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional

from pg_agents.distributions.categorical import Categorical
from pg_agents.generators import Source, filled


class MultiCategorical:
    """π(a) = Π_k π_k(a_k), K independent categorical choices; actions are int64 […, K].

    Args:
        unnormalized: z, […, K, N], N the largest number of options of a choice; −∞ for options that a choice lacks.
    """

    def __init__(self, unnormalized: Tensor) -> None:
        self.each = Categorical(unnormalized)  # […, K] choices

    def sample(self, generator: Source = None) -> Tensor:
        """Draw actions, int64 […, K]."""
        return self.each.sample(generator)

    def mode(self) -> Tensor:
        """Return the most probable option of each choice, int64 […, K]."""
        return self.each.mode()

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return Σ_k ln π_k(a_k), […], for int64 actions […, K]."""
        return self.each.log_prob(actions).sum(-1)

    def entropy(self) -> Tensor:
        """Return Σ_k H(π_k), […]."""
        return self.each.entropy().sum(-1)

    def is_finite(self) -> bool:
        """Return whether no z is NaN or +∞."""
        return self.each.is_finite()

    @classmethod
    def stack(cls, distributions: Sequence[Self]) -> Self:
        """Return T distributions of equal shape […] as one of shape [T, …]."""
        return cls(torch.stack([distribution.each.unnormalized for distribution in distributions]))


class Bernoulli:
    """π(a) = Π_i σ(z_i)^{a_i} σ(−z_i)^{1 − a_i}, N independent bits; actions are int64 […, N] of 0 and 1.

    Args:
        logits: z = ln π(1)/π(0), […, N]; −∞ keeps a bit at 0.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    def sample(self, generator: Source = None) -> Tensor:
        """Draw actions, int64 […, N]."""
        uniform = filled(Tensor.uniform_, torch.empty_like(self.logits), generator)  # in [0, 1): never below σ(−∞) = 0
        return (uniform < self.logits.sigmoid()).long()

    def mode(self) -> Tensor:
        """Return the most probable action, int64 […, N]; 0 where both are equal."""
        return (self.logits > 0).long()

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return Σ_i ln σ((2 a_i − 1) z_i), […], for actions […, N]."""
        return functional.logsigmoid(torch.where(actions > 0, self.logits, -self.logits)).sum(-1)

    def entropy(self) -> Tensor:
        """Return Σ_i [ln(1 + e^{−|z_i|}) + |z_i| σ(−|z_i|)], […]; 0, with gradient 0, at infinite z."""
        size = self.logits.abs().clamp(max=torch.finfo(self.logits.dtype).max)
        return (functional.softplus(-size) + size * torch.sigmoid(-size)).sum(-1)

    def is_finite(self) -> bool:
        """Return whether no z is NaN; an infinite z makes a bit certain."""
        return not math.isnan(self.logits.sum().item()) or not self.logits.isnan().any()

    @classmethod
    def stack(cls, distributions: Sequence[Self]) -> Self:
        """Return T distributions of equal shape […] as one of shape [T, …]."""
        return cls(torch.stack([distribution.logits for distribution in distributions]))
