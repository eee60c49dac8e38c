"""The interquartile mean of a few runs, and an interval that holds the one of infinitely many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pg_agents.statistics.bootstrap import interval_of_mean
from pg_agents.statistics.values import Values, checked


def interquartile_mean(values: Values) -> float:
    """Return the interquartile mean, the mean of what is left of n values without a quarter of their mass at each end.

    Of the sorted values x₁ ≤ … ≤ xₙ it is (2/n) Σ wᵢ xᵢ, where wᵢ is the length of [i − 1, i] ∩ [n/4, 3n/4]: of n = 4
    the middle two, of n = 3 (x₁ + 4 x₂ + x₃) / 6. It moves less than the mean with a few runs that fail, and varies
    less from sample to sample than the median (Agarwal et al., 2021, arXiv:2108.13264, where quarters are rounded
    down).

    Args:
        values: numbers, one for each run.

    Raises:
        ValueError: there are none, or one is not finite.
    """
    array = checked(values)
    return float(np.sort(array) @ interquartile_weights(len(array)))


def interval(values: Values, level: float = 0.95) -> tuple[float, float]:
    """Return an interval that holds the interquartile mean of infinitely many such runs, with probability `level`.

    It reaches from the α-quantile to the (1 − α)-quantile of the interquartile means of samples drawn from the values
    with replacement, where α = Φ(t₍₁₋ₗₑᵥₑₗ₎⸝₂), of Student's t with n − 1 degrees of freedom: with α = (1 − level) / 2
    the bootstrap's interval is too narrow for few runs (Hesterberg, 2015, doi:10.1080/00031305.2015.1089789). The
    samples are drawn with a fixed seed, so that the same values have the same interval.

    Measured with 2,000 samples of each of five distributions (normal, log-normal, t₂, mixtures of two peaks), nominal
    95 % intervals hold it in 95.2 to 96.8 % of the cases with n = 10, in 95.2 to 96.2 % with n = 20, and in 93.7 to
    95.1 % with n = 5; with n = 3 in 73.6 to 77.0 %, since an interval that ends at the lowest and the highest of three
    values does not reach more than 75 % for a median (`python -m benchmarks run intervals`).

    Args:
        values: numbers, one for each run, at least two.
        level: between 0 and 1.

    Raises:
        ValueError: fewer than two values, one that is not finite, a level out of range.
    """
    return interval_of_mean(values, interquartile_weights, level)


def interquartile_weights(count: int) -> NDArray[np.floating]:
    """Return the weights (2/n) wᵢ of sorted values, [n], which add up to 1."""
    ends = np.clip(np.arange(count + 1), count / 4, 3 * count / 4)
    return np.diff(ends) / (count / 2)
