"""`python -m benchmarks intervals`: how often intervals of the interquartile mean hold what they are to hold.

From each of five distributions samples of 3, 5, 10 and 20 values are drawn, and nominal 95 % intervals computed in
several ways; counted is how often they hold the distribution's own interquartile mean, measured how wide they are. The
package's way is `pg_agents.statistics.interval`. It writes results/intervals.json, and a table as results/intervals.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm, t

from benchmarks.records import RESULTS, typed, write
from pg_agents.statistics import METHOD, interquartile_mean, interval
from pg_agents.statistics.bootstrap import resampled
from pg_agents.statistics.interquartile import interquartile_weights

Array = NDArray[np.floating]
Interval = tuple[float, float]
SIZES = (3, 5, 10, 20)
LEVEL = 0.95
TAIL = (1 - LEVEL) / 2
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


OWN = {  # interquartile means of the distributions; the log-normal's is 2 e^½ (Φ(z − 1) − Φ(−z − 1)), z = Φ⁻¹(¾)
    "normal": 0.0,
    "log-normal (σ = 1)": float(2 * np.exp(0.5) * (norm.cdf(norm.ppf(0.75) - 1) - norm.cdf(norm.ppf(0.25) - 1))),
    "t₂": 0.0,
    "½ mixture": 0.5,
    "¼ mixture": mixtures_own(0.25),
}


# -- other ways --------------------------------------------------------------------------------------------------------
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


# -- the experiment ----------------------------------------------------------------------------------------------------
def measure(name: str, size: int, samples: int, seed: int) -> list[dict[str, Any]]:
    """Return how often each way's intervals hold the interquartile mean of a distribution, and their widths."""
    generator, found = np.random.default_rng([seed, size]), {way: np.empty((samples, 2)) for way in WAYS}
    for i in range(samples):
        values = np.sort(DISTRIBUTIONS[name](generator, size))
        means = resampled(values, interquartile_weights(size))
        for way, compute in WAYS.items():
            found[way][i] = compute(values, means)
    rows = []
    for way, ends in found.items():
        held = float(((ends[:, 0] <= OWN[name]) & (OWN[name] <= ends[:, 1])).mean())
        width = float(np.median(ends[:, 1] - ends[:, 0]))
        rows.append({"way": way, "distribution": name, "n": size, "coverage": held, "median_width": width})
    return rows


def page(content: dict[str, Any]) -> str:
    """Return the results as a table in Markdown."""
    return "\n".join(_lines(content)) + "\n"


def _lines(content: dict[str, Any]) -> Iterator[str]:
    yield f"`{content['command']}` at {content['commit']}: how many of {content['samples']:,} nominal 95 % intervals"
    yield "hold the interquartile mean of the distribution, and their median width."
    cells = {(row["way"], row["n"], row["distribution"]): row for row in content["rows"]}
    for size in content["sizes"]:
        yield f"\nn = {size}\n"
        yield f"| way | {' | '.join(DISTRIBUTIONS)} |"
        yield "|---" * (1 + len(DISTRIBUTIONS)) + "|"
        for way in WAYS:
            row = (cells[way, size, name] for name in DISTRIBUTIONS)
            yield f"| {way} | " + " | ".join(f"{c['coverage']:.1%}, {c['median_width']:.2f}" for c in row) + " |"


def main(arguments: Sequence[str]) -> int:
    """Run the experiment and write its results."""
    top = argparse.ArgumentParser(prog="python -m benchmarks intervals", description=__doc__)
    top.add_argument("--samples", type=int, default=2_000, help="of each distribution and size (2000)")
    top.add_argument("--seed", type=int, default=0, help="of the samples (0)")
    options = top.parse_args(arguments)
    rows = []
    for size in SIZES:
        for name in DISTRIBUTIONS:
            rows += measure(name, size, options.samples, options.seed)
            print(f"n = {size:2}  {name:20} {rows[-len(WAYS)]['coverage']:.1%}", flush=True)
    made = {"samples": options.samples, "sizes": SIZES, "rows": rows}
    content = write("intervals", typed("intervals", arguments), made, indent=1)
    (RESULTS / "intervals.md").write_text(page(content))
    return 0
