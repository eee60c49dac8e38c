"""The median of a few runs, and an interval that holds the one of infinitely many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pg_agents.statistics.bootstrap import interval_of_mean
from pg_agents.statistics.values import Values, checked


def median(values: Values) -> float:
    """Return the median, the value in the middle, or the mean of the middle two.

    Args:
        values: numbers, one for each run.

    Raises:
        ValueError: there are none, or one is not finite.
    """
    array = np.sort(checked(values))
    return float(array @ median_weights(len(array)))


def median_interval(values: Values, level: float = 0.95) -> tuple[float, float]:
    """Return an interval that holds the median of infinitely many such runs, with probability `level`.

    It is made as `interval` is, of the medians of samples drawn with replacement: from their α-quantile to their
    (1 − α)-quantile, where α = Φ(t₍₁₋ₗₑᵥₑₗ₎⸝₂) of Student's t with n − 1 degrees of freedom.

    Measured with 2,000 samples of each of five distributions, nominal 95 % intervals hold it in 95 to 97 % of the cases
    with n = 10 and with n = 20, in 93 to 95 % with n = 5; with n = 3 in 73 to 77 %, as no interval between the lowest
    and the highest of three values can hold the median more often than in 75 % (`python -m benchmarks run intervals`).
    What it takes and raises is what `interval` does.
    """
    return interval_of_mean(values, median_weights, level)


def median_weights(count: int) -> NDArray[np.floating]:
    """Return the weights of sorted values, [n]."""
    weights = np.zeros(count)
    weights[[(count - 1) // 2, count // 2]] = 1 if count % 2 else 0.5
    return weights
