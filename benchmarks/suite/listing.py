"""What `list` shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.suite.experiment import Experiment
from benchmarks.suite.finding import GROUPS, find, named
from benchmarks.suite.records import read
from benchmarks.suite.runner import RESULTS, file_of
from benchmarks.suite.selection import choose
from benchmarks.suites import SUITES, Part


def listed(names: Sequence[str], out: Path) -> Iterator[str]:
    """Yield the lines about all suites and experiments, or about the cells of those named.

    Args:
        names: of suites and experiments, and files; none: all experiments, without their cells.
        out: the folder of results that stands beside the published ones.
    """
    if names:
        for chosen in choose(names):
            yield from _experiment(chosen.experiment, out)
            yield from _cells(chosen.experiment, chosen.cells, chosen.seeds, out)
        return
    found = find()
    for group in GROUPS:
        if members := [name for name, its in found.items() if its == group]:
            yield f"{group}:"
            for name in members:
                yield from (f"  {line}" for line in _experiment(named(name), out))
    for suite, parts in SUITES.items():
        yield f"suite {suite}: {', '.join(dict.fromkeys(_part(part) for part in parts))}"


def _part(part: Part) -> str:
    return part.experiment if "*" in part.cells else f"{part.experiment} ({', '.join(part.cells)})"


def _experiment(experiment: Experiment, out: Path) -> Iterator[str]:
    """Yield an experiment's name and question, and what of its cells and seeds is measured."""
    yield f"{experiment.name}: {experiment.question}"
    if experiment.sources:
        yield f"  shows what is measured by {', '.join(experiment.sources)}"
        return
    size = f"{len(experiment.cells)} cells, seeds {_ranges(experiment.seeds)}"
    states = [
        f"{where} {_counted(experiment, experiment.cells, experiment.seeds, folder)}"
        for where, folder in (("published", RESULTS), (str(out), out))
        if file_of(experiment.name, folder).exists()
    ] or ["nothing measured"]
    extra = [experiment.missing] if experiment.missing else []
    yield f"  {'; '.join([size, *states, *extra])}"


def _cells(experiment: Experiment, cells: Sequence[Any], seeds: Sequence[int], out: Path) -> Iterator[str]:
    for cell in cells:
        states = [
            f"{where} {_counted(experiment, [cell], seeds, folder)}"
            for where, folder in (("published", RESULTS), (str(out), out))
            if file_of(experiment.name, folder).exists()
        ]
        yield f"    {cell.name}{': ' if states else ''}{'; '.join(states)}"


def _counted(experiment: Experiment, cells: Sequence[Any], seeds: Sequence[int], folder: Path) -> str:
    """Return how many seeds of the cells are done, failed and missing."""
    names = {cell.name for cell in cells}
    current = experiment.current(read(file_of(experiment.name, folder)))
    asked = [record for record in current if record.cell["name"] in names and record.seed in seeds]
    done = sum(record.is_good for record in asked)
    failed, missing = len(asked) - done, len(cells) * len(seeds) - len(asked)
    rest = [f"{failed} failed"] * (failed > 0) + [f"{missing} missing"] * (missing > 0)
    return ", ".join([f"{done} done", *rest])


def _ranges(seeds: Sequence[int]) -> str:
    """Return seeds as "0 … 9" where they are a range."""
    whole = len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1))
    return f"{seeds[0]} … {seeds[-1]}" if whole else ", ".join(map(str, seeds))
