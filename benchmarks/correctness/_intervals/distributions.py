"""Distributions of returns, with what is to be held of each."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

Array = NDArray[np.floating]
PEAK = 0.1  # the standard deviation of each peak of a mixture


def mixture(share: float) -> Callable[[np.random.Generator, int], Array]:
    """Return what draws from N(0, PEAK²), and a `share` of the values from N(1, PEAK²)."""
    return lambda generator, size: (generator.random(size) < share) + PEAK * generator.standard_normal(size)


DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": lambda generator, size: generator.standard_normal(size),
    "log-normal (σ = 1)": lambda generator, size: np.exp(generator.standard_normal(size)),
    "t₂": lambda generator, size: generator.standard_t(2, size),
    "½ mixture": mixture(0.5),
    "¼ mixture": mixture(0.25),
}


def mixtures_own(share: float) -> float:
    """Return the interquartile mean of a mixture, 2 ∫ x f(x) dx between its quartiles."""
    parts = ((0.0, 1 - share), (1.0, share))

    def mass_below(x: float, less: float) -> float:
        return sum(p * norm.cdf((x - mean) / PEAK) for mean, p in parts) - less

    def mean_density(x: float) -> float:
        return x * sum(p * norm.pdf(x, mean, PEAK) for mean, p in parts)

    first, third = (brentq(mass_below, -1, 2, args=quarter) for quarter in (0.25, 0.75))
    return 2 * quad(mean_density, first, third, points=(0.25, 0.5, 0.75), limit=200)[0]


MEANS = {  # interquartile means of the distributions; the log-normal's is 2 e^½ (Φ(z − 1) − Φ(−z − 1)), z = Φ⁻¹(¾)
    "normal": 0.0,
    "log-normal (σ = 1)": float(2 * np.exp(0.5) * (norm.cdf(norm.ppf(0.75) - 1) - norm.cdf(norm.ppf(0.25) - 1))),
    "t₂": 0.0,
    "½ mixture": 0.5,
    "¼ mixture": mixtures_own(0.25),
}

MEDIANS = {
    "normal": 0.0,
    "log-normal (σ = 1)": 1.0,
    "t₂": 0.0,
    "½ mixture": 0.5,
    "¼ mixture": float(brentq(lambda x: 0.75 * norm.cdf(x / PEAK) + 0.25 * norm.cdf((x - 1) / PEAK) - 0.5, -1, 1)),
}
DEVIATIONS = {  # t₂ has none: the scale of its density stands for it
    "normal": 1.0,
    "log-normal (σ = 1)": float(np.sqrt((np.e - 1) * np.e)),
    "t₂": 1.0,
    "½ mixture": float(np.sqrt(0.25 + PEAK**2)),
    "¼ mixture": float(np.sqrt(0.1875 + PEAK**2)),
}
LARGE = 1_000_000


@cache
def improvement(name: str, shift: float) -> float:
    """Return P(X > Y) of a distribution moved by `shift` and itself, from a million values of each."""
    if shift == 0:
        return 0.5
    generator = np.random.default_rng(99)
    x, y = (np.sort(DISTRIBUTIONS[name](generator, LARGE)) for _ in range(2))
    return 1 - float(np.searchsorted(x + shift, y).mean()) / LARGE
