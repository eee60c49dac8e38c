"""Two samples of runs, compared as distributions: the table and the picture of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from benchmarks.suite.records import Record
from benchmarks.suite.tables import MISSING, NONE, by_cell, failures, markdown, number, results

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Cell:
    """A sample of runs: an agent in an environment, trained in one of two ways.

    Attributes:
        name: in records.
        problem: agent and environment, the same for both samples.
        sample: the way.
        agent: the agent's name.
        env: the environment's id.
        num_envs: environments of a run.
        total_steps: of a run.
        arguments: the agent's that differ from its defaults.
    """

    name: str
    problem: str
    sample: str
    agent: str
    env: str
    num_envs: int
    total_steps: int
    arguments: dict[str, Any] = field(default_factory=dict)


def samples(
    ways: Iterable[str], agent: str, env: str, num_envs: int, total_steps: int, arguments: dict[str, Any]
) -> list[Cell]:
    """Return a sample for each of two ways of training an agent in an environment."""
    problem = f"{agent}, {env}"
    what = (agent, env, num_envs, total_steps, arguments)
    return [Cell(f"{problem}, {way}", problem, way, *what) for way in ways]


def compared(one: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Return how two samples differ, with the probability that samples of one distribution would differ as much.

    `ks`: the largest distance of their distribution functions (Kolmogorov, Smirnov); `mean`: their means (Welch);
    `spread`: the distances from their medians (Brown, Forsythe).
    """
    a, b = np.asarray(one, float), np.asarray(other, float)
    error = (a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)) ** 0.5
    found = {"difference_of_means": a.mean() - b.mean(), "standard_error": error, "ks": stats.ks_2samp(a, b).pvalue}
    if error:
        found["mean"] = stats.ttest_ind(a, b, equal_var=False).pvalue
        found["spread"] = stats.levene(a, b, center="median").pvalue
    return {name: float(value) for name, value in found.items()}


def table(records: Sequence[Record], pairs: Sequence[tuple[Any, Any]]) -> str:
    """Return a row for each pair of cells, which have a `problem` and a `sample`, and each number of their runs."""
    samples = [cell.sample for cell in pairs[0]]
    heads = ("agent, environment", "mean of", *samples, "difference", "p of distributions", "of means", "of distances")
    return markdown(heads, _rows(records, pairs), 2)


def _rows(records: Sequence[Record], pairs: Sequence[tuple[Any, Any]]) -> Iterator[list[str]]:
    found = by_cell(records)
    for pair in pairs:
        both = [results(found.get(cell.name, {})) for cell in pair]
        said = [failures(found.get(cell.name, {})) or MISSING for cell in pair]
        for what in ("return", "episodes"):
            values = [[one[what] for one in each] for each in both]
            means = [number(float(np.mean(each))) if each else text for each, text in zip(values, said, strict=True)]
            row = [pair[0].problem, f"{what} ({', '.join(str(len(each)) for each in both)} runs)", *means]
            yield row + (_differences(compared(*values)) if min(map(len, values)) > 1 else [])


def _differences(one: dict[str, float]) -> list[str]:
    """Return the texts of a comparison; samples without any spread have a distance of distributions alone."""
    chances = [f"{one[name]:.2f}" if name in one else NONE for name in ("ks", "mean", "spread")]
    return [f"{number(one['difference_of_means'], 3)} ± {number(one['standard_error'], 2)}", *chances]


def plot(
    records: Sequence[Record], pairs: Sequence[tuple[Any, Any]], colours: Mapping[str, str], title: str
) -> Figure | None:
    """Return the distribution functions of both samples' returns, a panel for each pair of cells."""
    from benchmarks.suite.pictures import panels

    found = by_cell(records)
    for pair, axes in zip(pairs, panels(len(pairs), title), strict=True):
        values = {}
        for cell in pair:
            mine = np.sort([one["return"] for one in results(found.get(cell.name, {}))])
            label = f"{cell.sample} ({len(mine)})"
            axes.step(mine, np.arange(1, len(mine) + 1) / max(1, len(mine)), color=colours[cell.sample], label=label)
            values[cell.sample] = mine
        enough = min(map(len, values.values())) > 1
        said = f"\nKolmogorov–Smirnov p = {compared(*values.values())['ks']:.2f}" if enough else ""
        axes.set_title(f"{pair[0].problem}{said}", fontsize=9)
        axes.set(xlabel="mean return of the last 100 episodes", ylabel="share of runs below", ylim=(0, 1.02))
        axes.legend(fontsize=7)
    return axes.figure
