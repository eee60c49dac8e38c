"""Weighted means of what is reported, computed once instead of in every gradient step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

AVERAGED_AT_ONCE = 4096  # rows; the mean of so many takes no longer than it takes to keep them


class WeightedMetrics(Mapping[str, Tensor]):
    """Weighted means of terms, by name: Σ weights · term / Σ weights, computed when they are asked for.

    A mean takes as long as a layer of a small network. The rows are kept instead, and those of all minibatches are
    averaged at once (`joined`); of `AVERAGED_AT_ONCE` rows or more the mean is taken at once, and kept.

    Args:
        weights: of the rows, [T, B].
        terms: [T, B] each.
    """

    def __init__(self, weights: Tensor, terms: Mapping[str, Tensor]) -> None:
        self.weights, self.terms = weights, {name: term.detach() for name, term in terms.items()}
        if weights.numel() >= AVERAGED_AT_ONCE:
            self.terms = {name: self[name][None] for name in terms}
            self.weights = weights.sum()[None]

    def __getitem__(self, name: str) -> Tensor:
        """Return a mean."""
        term = self.terms[name]
        dtype = torch.promote_types(term.dtype, self.weights.dtype)
        return torch.dot(self.weights.flatten().to(dtype), term.flatten().to(dtype)) / self.weights.sum()

    def __iter__(self) -> Iterator[str]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    @classmethod
    def joined(cls, several: Sequence[WeightedMetrics]) -> WeightedMetrics:
        """Return the means of n parts, whose weights add up to n times those of the whole (`minibatches`).

        Raises:
            TypeError: one is something else, such as a dict.
        """
        for means in several:
            if not isinstance(means, WeightedMetrics):
                raise TypeError(f"forward must return (loss, batch.means(name=term, …)), got {type(means).__name__}")
        terms = {name: _joined([means.terms[name] for means in several]) for name in several[0]}
        return cls(_joined([means.weights for means in several]) / len(several), terms)


def _joined(rows: Sequence[Tensor]) -> Tensor:
    return torch.cat([some.flatten() for some in rows])
