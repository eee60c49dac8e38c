"""Weighted means of an update's metrics, computed once instead of in every gradient step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from pg_agents._fast.means import AVERAGED_AT_ONCE, summary, weighted_mean
from pg_agents.data.learners import by_learner
from pg_agents.data.shares import Ranks


class WeightedMetrics(Mapping[str, Tensor]):
    """Weighted means of terms, by name: Σ weights · term / Σ weights, computed when they are read.

    Rows are kept as `summary` says; those of all minibatches are averaged together (`joined`).

    Args:
        weights: the weight of each row, [T, B].
        terms: arrays [T, B], by name.
        num_learners: L, the number of independent learners to whom the columns belong; each has its own means.
        ranks: the processes of whose rows the means are; None: this one alone. All of them read the same names.
    """

    def __init__(
        self, weights: Tensor, terms: Mapping[str, Tensor], num_learners: int = 1, ranks: Ranks | None = None
    ) -> None:
        self.num_learners, self.ranks = num_learners, ranks
        rows = summary if num_learners == 1 else partial(_summary_of_learners, num_learners)
        self.weights, self.terms = rows(weights, {name: term.detach() for name, term in terms.items()})

    def __getitem__(self, name: str) -> Tensor:
        """Return the weighted mean of the term `name`, a scalar tensor; [L] of several learners."""
        if self.ranks is not None:
            return _mean_of_ranks(self.weights, self.terms[name], self.ranks)
        mean = weighted_mean if self.num_learners == 1 else _means_of_learners
        return mean(self.weights, self.terms[name])

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
        if len(several) == 1:
            return several[0]
        learners = several[0].num_learners
        columns = () if learners == 1 else (learners,)

        def joined(rows: Sequence[Tensor]) -> Tensor:
            return torch.cat([some.reshape(-1, *columns) for some in rows])

        terms = {name: joined([means.terms[name] for means in several]) for name in several[0]}
        return cls(joined([means.weights for means in several]) / len(several), terms, learners, several[0].ranks)


def _mean_of_ranks(weights: Tensor, term: Tensor, ranks: Ranks) -> Tensor:
    """Return Σ weights · term / Σ weights over the rows of all ranks."""
    weights = weights.double()
    sums = torch.stack([(weights * term.double()).sum(), weights.sum()])
    ranks.add([sums])
    return (sums[0] / sums[1]).to(term.dtype if term.is_floating_point() else torch.float32)


def _means_of_learners(weights: Tensor, term: Tensor) -> Tensor:
    """Return Σ weights · term / Σ weights of each column, [L], for rows [n, L]."""
    return (weights * term).sum(0) / weights.sum(0)


def _summary_of_learners(
    num_learners: int, weights: Tensor, terms: dict[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return one row [1, L] with the weighted means of each learner's columns, and as much weight.

    Few rows [n, L] of which each learner has one column stay as they are until a mean is read.
    """
    if not terms or (weights.shape[-1] == num_learners and weights.numel() < AVERAGED_AT_ONCE):
        return weights, terms

    def total(values: Tensor) -> Tensor:
        return by_learner(values.sum(-2, keepdim=True), num_learners).sum(-1)

    whole = total(weights)
    means = total(weights * torch.stack([*terms.values()])) / whole.clamp(min=torch.finfo(whole.dtype).tiny)
    return whole, dict(zip(terms, means, strict=True))
