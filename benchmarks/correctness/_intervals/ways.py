"""Ways to make an interval of the interquartile mean: the package's, and others."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, t

from pg_agents.statistics import METHOD, interquartile_mean, interval

Array = NDArray[np.floating]
Interval = tuple[float, float]
LEVEL = 0.95
TAIL = (1 - LEVEL) / 2


def percentile(values: Array, means: Array) -> Interval:
    """Return the bootstrap's percentile interval."""
    return tuple(np.quantile(means, [TAIL, 1 - TAIL]))


def accelerated(values: Array, means: Array) -> Interval:
    """Return the bootstrap's bias-corrected and accelerated interval (BCa, Efron, 1987)."""
    middle = interquartile_mean(values)
    below = ((means < middle).mean() + (means <= middle).mean()) / 2
    bias = norm.ppf(np.clip(below, 1 / len(means), 1 - 1 / len(means)))
    without = np.array([interquartile_mean(np.delete(values, i)) for i in range(len(values))])
    away = without.mean() - without
    acceleration = (away**3).sum() / (6 * max((away**2).sum() ** 1.5, 1e-12))
    ends = bias + norm.ppf([TAIL, 1 - TAIL])
    return tuple(np.quantile(means, norm.cdf(bias + ends / (1 - acceleration * ends))))


def winsorized(values: Array) -> float:
    """Return Tukey and McLaughlin's standard error: that of values whose outer quarters are moved to the middle's ends.

    Of a value that is cut in two, one part is moved (to where it is).
    """
    values, count = np.sort(values), len(values)
    weights = np.diff(np.clip(np.arange(count + 1), count / 4, 3 * count / 4))
    cut = count // 4
    weights[[cut, -1 - cut]] += count / 4
    mean = values @ weights / count
    return float(np.sqrt((values - mean) ** 2 @ weights / (count - 1) / count) / 0.5)


def tukey_mclaughlin(values: Array, means: Array) -> Interval:
    """Return Tukey and McLaughlin's t interval (1963)."""
    half = t.ppf(1 - TAIL, len(values) - 2 * (len(values) // 4) - 1) * winsorized(values)
    return interquartile_mean(values) - half, interquartile_mean(values) + half


def standard_error(values: Array, means: Array) -> Interval:
    """Return the t interval with the bootstrap's standard error."""
    half = t.ppf(1 - TAIL, len(values) - 1) * means.std() * np.sqrt(len(values) / (len(values) - 1))
    return interquartile_mean(values) - half, interquartile_mean(values) + half


WAYS: dict[str, Callable[[Array, Array], Interval]] = {
    METHOD: lambda values, means: interval(values, LEVEL),
    "percentile bootstrap": percentile,
    "BCa bootstrap": accelerated,
    "t, standard error of the bootstrap": standard_error,
    "t, Tukey and McLaughlin": tukey_mclaughlin,
}
