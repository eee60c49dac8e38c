"""Weighted means of an update's metrics, computed once instead of in every gradient step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from pg_agents._fast.means import summary, weighted_mean


class WeightedMetrics(Mapping[str, Tensor]):
    """Weighted means of terms, by name: Σ weights · term / Σ weights, computed when they are read.

    Rows are kept as `summary` says; those of all minibatches are averaged together (`joined`).

    Args:
        weights: the weight of each row, [T, B].
        terms: arrays [T, B], by name.
    """

    def __init__(self, weights: Tensor, terms: Mapping[str, Tensor]) -> None:
        self.weights, self.terms = summary(weights, {name: term.detach() for name, term in terms.items()})

    def __getitem__(self, name: str) -> Tensor:
        """Return the weighted mean of the term `name`, a scalar tensor."""
        return weighted_mean(self.weights, self.terms[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.terms)

    def __len__(self) -> int:
        return len(self.terms)

    @classmethod
    def joined(cls, several: Sequence[WeightedMetrics]) -> WeightedMetrics:
        """Return the means over the n parts of a batch; `minibatches` has multiplied their weights by n.

        Raises:
            TypeError: one of them is not a `WeightedMetrics`.
        """
        for means in several:
            if not isinstance(means, WeightedMetrics):
                raise TypeError(f"forward must return (loss, batch.means(name=term, …)), got {type(means).__name__}")
        terms = {name: _joined([means.terms[name] for means in several]) for name in several[0]}
        return cls(_joined([means.weights for means in several]) / len(several), terms)


def _joined(rows: Sequence[Tensor]) -> Tensor:
    return torch.cat([some.flatten() for some in rows])
