"""Performance profiles: which share of the runs is above each threshold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pg_agents.statistics.bootstrap import RESAMPLES, between_tails
from pg_agents.statistics.over_tasks import checked_groups, sizes
from pg_agents.statistics.values import Values, checked

Array = NDArray[np.floating]


def performance_profile(groups: Sequence[Values], thresholds: Values) -> Array:
    """Return the share of runs above each threshold, [T], in which each task counts the same.

    F̂(τ) = 1/G Σ_g 1/n_g Σᵢ [x_gᵢ > τ] falls from 1 to 0: an agent whose profile lies above another's everywhere is
    better in every quantile (Agarwal et al., 2021, arXiv:2108.13264).

    Args:
        groups: of each task, numbers on a scale that the tasks share, one for each run.
        thresholds: τ, [T].

    Raises:
        ValueError: no task, one without runs, no threshold, or a number that is not finite.
    """
    limits = checked(thresholds, "thresholds")
    return np.mean([_above(group, limits).mean(0) for group in checked_groups(groups)], axis=0)


def profile_band(groups: Sequence[Values], thresholds: Values, level: float = 0.95) -> tuple[Array, Array]:
    """Return the lower and the upper end of an interval at each threshold, [T] each.

    Each interval is that of `stratified_interval`, of the share of runs above its threshold; it is pointwise: of a
    whole profile some points may lie outside. Where all runs are above a threshold, or none, it has no width, as in any
    bootstrap.

    Args:
        groups: of each task, numbers on a scale that the tasks share, one for each run, at least two.
        thresholds: τ, [T].
        level: between 0 and 1.

    Raises:
        ValueError: no task, one with fewer than two runs, no threshold, a number that is not finite, a level out of
            range.
    """
    limits, arrays = checked(thresholds, "thresholds"), checked_groups(groups, least=2)
    generator, counts = np.random.default_rng(0), sizes(arrays)
    samples = np.zeros((RESAMPLES, len(limits)))
    for array in arrays:
        runs = len(array)
        times = generator.multinomial(runs, np.full(runs, 1 / runs), size=RESAMPLES)  # each run is drawn
        samples += times @ _above(array, limits) / (runs * len(arrays))
    low, high = between_tails(samples, level, int(counts.min()), len(counts))
    return low, high


def _above(values: Array, thresholds: Array) -> Array:
    """Return 1.0 where a run is above a threshold, else 0.0, [n, T]."""
    return (values[:, None] > thresholds).astype(np.float64)
