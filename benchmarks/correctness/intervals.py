"""How often do intervals hold what they are to hold, and how often do tests find a difference?

Samples are drawn from five distributions of returns, of which the true values are known: nominal 95 % intervals of the
interquartile mean (beside other ways to make them), of the median, of the probability of improvement (of a distribution
beside itself, or moved by so many standard deviations) and of the interquartile mean of several tasks; and AdaStop with
groups of five runs.

"94.3%, 2.23" are the share of intervals that held the true value, and their median width, in units of the scores; where
a difference is looked for, the share of tests that found one, and how many runs they took. There are 2,000 samples a
cell, 1,000 of AdaStop and 500 of several tasks; n is the number of runs in a sample, of each task (where it is said,
the last one has ten times as many).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.correctness._intervals.distributions import DEVIATIONS, DISTRIBUTIONS, MEANS, MEDIANS, improvement
from benchmarks.correctness._intervals.ways import LEVEL, WAYS
from benchmarks.suite.records import Record
from benchmarks.suite.tables import MISSING, NONE, by_cell, failures, markdown, results
from pg_agents.statistics import AdaStop, aggregate, improvement_interval, median_interval, stratified_interval
from pg_agents.statistics.bootstrap import resampled
from pg_agents.statistics.interquartile import interquartile_weights

Array = NDArray[np.floating]
SIZES = (3, 5, 10, 20)
SHIFTS = (0.0, 0.5, 1.0, 1.5)  # standard deviations
TASKS = (5, 20)
UNEQUAL = (2, 5)  # tasks, of which the last one has many more runs
MANY = 10  # times as many
ALL = "all five"


@dataclass(frozen=True)
class Cell:
    """A statistic of samples of a distribution.

    Attributes:
        name: statistic, distribution and size.
        statistic: what is to be held or found, one of `MEASURED`.
        distribution: one of `DISTRIBUTIONS`; of several tasks, `ALL` in turns.
        size: runs in a sample, of each agent and of each task.
        samples: how many are drawn.
        tasks: of a sample.
    """

    name: str
    statistic: str
    distribution: str
    size: int
    samples: int = 2_000
    tasks: int = 1


def _cells() -> Iterator[Cell]:
    for statistic in ("interquartile mean", "median", "improvement"):
        for size in SIZES:
            for name in DISTRIBUTIONS:
                yield Cell(f"{statistic}/{name}/{size}", statistic, name, size)
    for name in DISTRIBUTIONS:
        yield Cell(f"AdaStop/{name}/10", "AdaStop", name, 10, 1_000)
    for tasks in TASKS:
        for size in SIZES[:3]:
            yield Cell(f"{tasks} tasks/{ALL}/{size}", f"{tasks} tasks", ALL, size, 500, tasks)
    for tasks in UNEQUAL:
        for size in SIZES[:3]:
            yield Cell(f"{_unequal(tasks)}/{ALL}/{size}", _unequal(tasks), ALL, size, 500, tasks)


def _unequal(tasks: int) -> str:
    return f"{tasks} tasks, the last with {MANY} n"


OF_TASKS = (*(f"{tasks} tasks" for tasks in TASKS), *map(_unequal, UNEQUAL))
CELLS = tuple(_cells())
SEEDS = (0,)


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return for each way, or each difference, how often the intervals hold the true value, and their median width."""
    generator = np.random.default_rng([seed, cell.size])
    return {"rows": MEASURED[cell.statistic](cell, generator)}


def _held(ends: Iterable[tuple[float, float]], true: float) -> dict[str, float]:
    low, high = np.array(list(ends)).T
    return {"coverage": float(((low <= true) & (true <= high)).mean()), "median_width": float(np.median(high - low))}


def _of_interquartile_means(cell: Cell, generator: np.random.Generator) -> dict[str, Any]:
    draw, weights = DISTRIBUTIONS[cell.distribution], interquartile_weights(cell.size)
    found: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(cell.samples):
        values = np.sort(draw(generator, cell.size))
        means = resampled(values, weights)
        for way, compute in WAYS.items():
            found[way].append(compute(values, means))
    return {way: _held(ends, MEANS[cell.distribution]) for way, ends in found.items()}


def _of_medians(cell: Cell, generator: np.random.Generator) -> dict[str, Any]:
    draw = DISTRIBUTIONS[cell.distribution]
    ends = (median_interval(draw(generator, cell.size), LEVEL) for _ in range(cell.samples))
    return {"median": _held(ends, MEDIANS[cell.distribution])}


def _pairs(cell: Cell, generator: np.random.Generator, shift: float) -> Iterator[tuple[Array, Array]]:
    draw = DISTRIBUTIONS[cell.distribution]
    for _ in range(cell.samples):
        yield draw(generator, cell.size) + shift, draw(generator, cell.size)


def _of_improvement(cell: Cell, generator: np.random.Generator) -> dict[str, Any]:
    found = {}
    for deviations in SHIFTS:
        shift = deviations * DEVIATIONS[cell.distribution]
        ends = [improvement_interval(x, y, LEVEL) for x, y in _pairs(cell, generator, shift)]
        differs = float(np.mean([not low <= 0.5 <= high for low, high in ends]))
        found[_apart(deviations)] = _held(ends, improvement(cell.distribution, shift)) | {"found": differs}
    return found


def _of_adastop(cell: Cell, generator: np.random.Generator) -> dict[str, Any]:
    test, found = AdaStop(size=cell.size // 2, groups=2), {}
    for deviations in SHIFTS:
        pairs = _pairs(cell, generator, deviations * DEVIATIONS[cell.distribution])
        each = [test.decide({"x": x, "y": y})["x", "y"] for x, y in pairs]
        differs = float(np.mean([one.verdict in ("larger", "smaller") for one in each]))
        found[_apart(deviations)] = {"found": differs, "runs": float(np.mean([one.runs for one in each]))}
    return found


def _of_tasks(cell: Cell, generator: np.random.Generator, last: int = 1) -> dict[str, Any]:
    """Return it of tasks with as many runs each, but for the last one, which has `last` times as many."""
    scales, places = generator.uniform(0.3, 1, cell.tasks), generator.uniform(0, 2, cell.tasks)
    draws = [list(DISTRIBUTIONS.values())[task % len(DISTRIBUTIONS)] for task in range(cell.tasks)]

    def sample(sizes: Sequence[int]) -> list[Array]:
        each = zip(scales, draws, places, sizes, strict=True)
        return [scale * draw(generator, size) + at for scale, draw, at, size in each]

    true, sizes = aggregate(sample([20_000] * cell.tasks)), [cell.size] * (cell.tasks - 1) + [last * cell.size]
    return {ALL: _held((stratified_interval(sample(sizes), level=LEVEL) for _ in range(cell.samples)), true)}


def _apart(deviations: float) -> str:
    return f"{deviations:g} σ apart" if deviations else "the same"


MEASURED: dict[str, Callable[[Cell, np.random.Generator], dict[str, Any]]] = {
    "interquartile mean": _of_interquartile_means,
    "median": _of_medians,
    "improvement": _of_improvement,
    "AdaStop": _of_adastop,
    **{f"{tasks} tasks": _of_tasks for tasks in TASKS},
    **{_unequal(tasks): partial(_of_tasks, last=MANY) for tasks in UNEQUAL},
}


# -- tables ------------------------------------------------------------------------------------------------------------
def table(records: Sequence[Record]) -> dict[str, str]:
    """Return a table of each statistic: coverage and median width, or how often a difference is found."""
    return {
        "interquartile-mean": _grid(records, ("interquartile mean",), "way", _coverage),
        "median": _grid(records, ("median",), "of", _coverage),
        "improvement": _grid(records, ("improvement",), "the two are", _coverage),
        "improvement-found": _grid(records, ("improvement",), "the two are", _found),
        "adastop": _grid(records, ("AdaStop",), "the two are", _found),
        "tasks": _grid(
            records, [*(f"{tasks} tasks" for tasks in TASKS), *map(_unequal, UNEQUAL)], "distributions", _coverage
        ),
    }


def _coverage(row: dict[str, float]) -> str:
    return f"{row['coverage']:.1%}, {row['median_width']:.2f}"


def _found(row: dict[str, float]) -> str:
    return f"{row['found']:.1%}" + (f", {row['runs']:.1f} runs" if "runs" in row else "")


def _grid(
    records: Sequence[Record], statistics: Sequence[str], label: str, text: Callable[[dict[str, float]], str]
) -> str:
    """Return a row for each size and each way, a column for each distribution."""
    cells, measured = [cell for cell in CELLS if cell.statistic in statistics], by_cell(records)
    columns = list(dict.fromkeys(cell.distribution for cell in cells))
    rows: dict[tuple[str, int, str], dict[str, str]] = {}
    for cell in cells:
        mine = measured.get(cell.name, {})
        for found in results(mine):
            for way, row in found["rows"].items():
                rows.setdefault((cell.statistic, cell.size, way), {})[cell.distribution] = text(row)
        if not results(mine):
            said = failures(mine) if mine else MISSING
            rows.setdefault((cell.statistic, cell.size, NONE), {})[cell.distribution] = said
    body = [
        [statistic, str(size), way, *(row.get(name, NONE) for name in columns)]
        for (statistic, size, way), row in rows.items()
    ]
    return markdown(["statistic", "n", label, *columns], body, 3)
