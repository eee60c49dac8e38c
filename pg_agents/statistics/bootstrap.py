"""Samples of runs drawn with replacement, and intervals between quantiles of what they have."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pg_agents.statistics.values import Values, checked, checked_level

RESAMPLES = 10_000
AT_ONCE = 2**20  # numbers that are drawn at once
KEPT = AT_ONCE // RESAMPLES  # runs of which the samples are kept for the next interval, 8 MiB for each number of runs
METHOD = f"percentile bootstrap ({RESAMPLES:,} resamples), tails of Student's t"


def interval_of_mean(
    values: Values, weights: Callable[[int], NDArray[np.floating]], level: float
) -> tuple[float, float]:
    """Return an interval that holds a weighted mean of the sorted values of infinitely many runs.

    Args:
        values: numbers, one for each run, at least two.
        weights: returns those of n values in ascending order, [n].
        level: between 0 and 1.

    Raises:
        ValueError: fewer than two values, one that is not finite, a level out of range.
    """
    array = np.sort(checked(values, least=2))
    low, high = between_tails(resampled(array, weights(len(array))), level, len(array))
    return float(low), float(high)


def resampled(values: NDArray[np.floating], weights: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return Σ wᵢ x₍ᵢ₎ of samples that are drawn from the values with replacement, [RESAMPLES].

    Args:
        values: [n], in ascending order.
        weights: [n], of a sample's values in ascending order.
    """
    count = len(values)
    parts: Iterable[NDArray[np.integer]] = _kept(count) if count <= KEPT else _drawn(count)
    return np.concatenate([values[part] @ weights for part in parts])


def between_tails(samples: NDArray[np.floating], level: float, runs: int, tasks: int = 1) -> NDArray[np.floating]:
    """Return the α-quantile and the (1 − α)-quantile of bootstrap samples, [2, …].

    α = Φ(t √((N − 1) / (N − G))), where t is the (1 − level) / 2 quantile of Student's t with N − G degrees of freedom,
    and N = G n, of G tasks the fewest of which has n runs. Samples drawn within tasks of n runs have (n − 1) / n of
    the variance that they should, which is much less than 1 where N runs are of many tasks, and the deviation is
    estimated from few runs (Hesterberg, 2015, doi:10.1080/00031305.2015.1089789). Of one task α is Φ(t).

    Args:
        samples: [RESAMPLES, …].
        level: between 0 and 1.
        runs: n.
        tasks: G.

    Raises:
        ValueError: a level out of range.
    """
    from scipy.special import ndtr, stdtrit  # here: the command line need not wait for its import

    every, freedom = tasks * runs, tasks * (runs - 1)
    tail = ndtr(math.sqrt((every - 1) / freedom) * stdtrit(freedom, (1 - checked_level(level)) / 2))
    return np.quantile(samples, [tail, 1 - tail], axis=0)


@lru_cache(maxsize=8)
def _kept(count: int) -> tuple[NDArray[np.integer], ...]:
    return tuple(_drawn(count))


def _drawn(count: int) -> Iterator[NDArray[np.integer]]:
    """Yield the samples' positions among sorted values, in ascending order, [rows, n]; always the same."""
    generator, rows = np.random.default_rng(0), max(1, AT_ONCE // count)
    for done in range(0, RESAMPLES, rows):
        yield np.sort(generator.integers(count, size=(min(rows, RESAMPLES - done), count)))
