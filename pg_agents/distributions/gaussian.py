"""Densities over vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from pg_agents.generators import Source, filled


class DiagonalGaussian:
    """π(a) = Π_i N(a_i; μ_i, σ_i²), a density over actions […, D].

    Log-probabilities are those of sampled actions; they are clipped to bounds in `to_env_action` only. If actions are
    in units s from a centre c, the density is that of c + s a:

        ln π = Σ_i [ln N(a_i; μ_i, σ_i²) − ln s_i]

    Args:
        mean: μ, […, D].
        log_std: ln σ, of the same shape or one that broadcasts to it ([D]: σ does not depend on the state).
        log_scale: ln s, [D]; None: s = 1.
    """

    def __init__(self, mean: Tensor, log_std: Tensor, log_scale: Tensor | None = None) -> None:
        self.mean, self.log_std, self.log_scale = mean, log_std, log_scale

    def sample(self, generator: Source = None) -> Tensor:
        """Draw actions μ + σ ε, […, D]."""
        noise = filled(Tensor.normal_, torch.empty_like(self.mean), generator)
        return torch.addcmul(self.mean, self.log_std.exp(), noise)

    def mode(self) -> Tensor:
        """Return μ, […, D]."""
        return self.mean

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return −Σ_i [½ ((a_i − μ_i)/σ_i)² + ln σ_i s_i + ½ ln 2π], […]."""
        scaled = (actions - self.mean) * (-self.log_std).exp()
        return -(0.5 * scaled.square() + self._log_width() + 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """Return Σ_i [ln σ_i s_i + ½ ln 2πe], […]."""
        return (self._log_width().expand_as(self.mean) + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def _log_width(self) -> Tensor:
        return self.log_std if self.log_scale is None else self.log_std + self.log_scale

    def is_finite(self) -> bool:
        """Return whether every μ and every ln σ is finite."""
        if math.isfinite(self.mean.sum().item() + self.log_std.sum().item()):
            return True
        return bool(self.mean.isfinite().all()) and bool(self.log_std.isfinite().all())

    @classmethod
    def stack(cls, distributions: Sequence[Self]) -> Self:
        """Return T distributions of equal shape […] and equal units as one of shape [T, …]."""
        mean = torch.stack([distribution.mean for distribution in distributions])
        log_std = torch.stack([distribution.log_std for distribution in distributions])
        missing = mean.ndim - log_std.ndim  # leading dimensions over which σ is constant
        log_std = log_std.reshape(len(log_std), *[1] * missing, *log_std.shape[1:])
        return cls(mean, log_std, distributions[0].log_scale)
