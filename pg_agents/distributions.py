"""Batched action distributions: sample, log-probability, entropy, mode.

They do what the agents need and no more: `torch.distributions` validates and broadcasts at several times the cost of
the arithmetic, and samples from the global generator.
"""

from __future__ import annotations

import math
from typing import Protocol

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


class Categorical:
    """π(a) = exp(z_a) / Σ_b exp(z_b), over the A actions of logits z […, A]."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits.log_softmax(-1)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw actions, int64 […], by an exponential race: argmax_a π(a)/E_a with E_a ~ Exp(1) is distributed as π."""
        race = torch.empty_like(self.logits).exponential_(generator=generator)
        return (self.logits.exp() / race).argmax(-1)

    def mode(self) -> Tensor:
        """Return argmax_a π(a), int64 […]; the lowest index where several are equal."""
        return self.logits.argmax(-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return ln π(a) for int64 actions […]."""
        return self.logits.gather(-1, actions[..., None]).squeeze(-1)

    def entropy(self) -> Tensor:
        """Return −Σ_a π(a) ln π(a), […]."""
        return -(self.logits.exp() * self.logits.clamp(min=torch.finfo(self.logits.dtype).min)).sum(-1)

    def probabilities(self) -> Tensor:
        """Return π(a), […, A]."""
        return self.logits.exp()


class DiagonalGaussian:
    """π(a) = Π_i N(a_i; μ_i, σ_i²), a density over actions […, D].

    The log-probability is that of the action as sampled; clipping to the bounds happens at the environment's door.
    """

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mean = mean
        self.log_std = log_std.expand_as(mean)

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw actions μ + σ ε, […, D]."""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + self.log_std.exp() * noise

    def mode(self) -> Tensor:
        """Return μ, […, D]."""
        return self.mean

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return −Σ_i [½ ((a_i − μ_i)/σ_i)² + ln σ_i + ½ ln 2π], […]."""
        scaled = (actions - self.mean) * (-self.log_std).exp()
        return -(0.5 * scaled.square() + self.log_std + 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """Return Σ_i [ln σ_i + ½ ln 2πe], […]."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)
