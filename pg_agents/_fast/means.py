"""Weighted means of many terms, put off until there are many rows to average at once."""

from __future__ import annotations

import torch
from torch import Tensor

AVERAGED_AT_ONCE = 4096  # rows; from this many on, averaging them at once costs no more than keeping them


def weighted_mean(weights: Tensor, term: Tensor) -> Tensor:
    """Return Σ weights · term / Σ weights, over all rows [T, B]."""
    dtype = torch.promote_types(term.dtype, weights.dtype)
    return torch.dot(weights.flatten().to(dtype), term.flatten().to(dtype)) / weights.sum()


def summary(weights: Tensor, terms: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return rows that have the weighted means of the rows given, and as much weight: these rows, where they are few.

    A mean takes as long as a layer of a small network; where the rows of many minibatches are kept, one mean of all is
    taken at the end. What is reported differs from `plain_summary`'s by rounding.
    """
    return (weights, terms) if weights.numel() < AVERAGED_AT_ONCE else plain_summary(weights, terms)


def plain_summary(weights: Tensor, terms: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return one row that has the weighted means of the rows [T, B] that are given, and as much weight."""
    return weights.sum()[None], {name: weighted_mean(weights, term)[None] for name, term in terms.items()}
