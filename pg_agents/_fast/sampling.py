"""Actions drawn with few calls and few random numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from pg_agents.generators import Source, filled

WORTH_INVERTING = 16  # actions; from this many on, one random number per sample is faster than one per action


def sample(unnormalized: Tensor, generator: Source) -> Tensor:
    """Draw a with probability π(a) ∝ exp(z_a), int64 […], for z […, A], with the frequencies of `plain_sample`.

    Of few actions it is by `race`, of many by `inversion`.
    """
    return (race if unnormalized.shape[-1] < WORTH_INVERTING else inversion)(unnormalized, generator)


def plain_sample(unnormalized: Tensor, generator: torch.Generator | None) -> Tensor:
    """Draw a with probability π(a) ∝ exp(z_a), int64 […], for z […, A]."""
    probabilities = unnormalized.softmax(-1).reshape(-1, unnormalized.shape[-1])
    return torch.multinomial(probabilities, 1, generator=generator).view(unnormalized.shape[:-1])


def race(unnormalized: Tensor, generator: Source) -> Tensor:
    """Draw argmax_a z_a − ln E_a with E_a ~ Exp(1), which is distributed as π ∝ exp(z), int64 […].

    A constant added to all z_a does not change the result, so z need not be normalised. E_a is never 0 here, and an
    impossible action is never drawn. The draws are those of `plain_sample`, but where rounding decides.
    """
    times = filled(Tensor.exponential_, torch.empty_like(unnormalized), generator).log_()
    return (unnormalized - times).argmax(-1)


def inversion(unnormalized: Tensor, generator: Source) -> Tensor:
    """Draw the first a with Σ_{b≤a} π(b) > U, U uniform on [0, 1), int64 […]; impossible actions are never drawn.

    The sum is in float64: float32 would lose improbable actions among many.
    """
    cumulative = unnormalized.softmax(-1).cumsum(-1, dtype=torch.float64)
    shape, device = (*unnormalized.shape[:-1], 1), unnormalized.device
    empty = torch.empty(shape, dtype=torch.float64, device=device)
    uniform = filled(Tensor.uniform_, empty, generator)  # at most 1 − 2⁻⁵³: some a
    return torch.searchsorted(cumulative, uniform * cumulative[..., -1:], right=True).squeeze(-1)  # is always found
