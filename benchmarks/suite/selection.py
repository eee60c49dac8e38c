"""What is asked for: names of suites and experiments, and files, as experiments with their cells and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks.suite.experiment import Experiment
from benchmarks.suite.finding import find, load, named
from benchmarks.suites import SUITES
from pg_agents.errors import UserError
from pg_agents.shown import nearest

FILES = (".toml", ".py")


@dataclass(frozen=True)
class Chosen:
    """Cells and seeds of an experiment."""

    experiment: Experiment
    cells: tuple[Any, ...]
    seeds: tuple[int, ...]


def choose(names: Sequence[str], only: Sequence[str] = (), seeds: Sequence[int] | None = None) -> list[Chosen]:
    """Return what is asked for, in the order in which it was typed.

    Args:
        names: of suites (which take precedence) and experiments, and files that are experiments.
        only: patterns of cells, as "ppo*" or "bandits/ppo*"; empty: all of them.
        seeds: of each cell; None: those that suite or experiment says.

    Raises:
        UserError: a name is unknown, two files have one, or nothing is like a pattern.
    """
    parts = [part for name in names for part in _parts(name)]
    _one_source([experiment for experiment, _, _ in parts])
    found = [
        Chosen(experiment, tuple(cell for cell in cells if _asked(experiment, cell, only)), tuple(seeds or own))
        for experiment, cells, own in parts
    ]
    for pattern in only:
        if not any(_asked(experiment, cell, [pattern]) for experiment, cells, _ in parts for cell in cells):
            known = [cell.name for _, cells, _ in parts for cell in cells]
            raise UserError(f"only: no cell of {', '.join(names)} is like {pattern!r}{_meant(pattern, known)}")
    return [chosen for chosen in found if chosen.cells or (chosen.experiment.sources and not only)]


def _one_source(experiments: Sequence[Experiment]) -> None:
    """Refuse two files whose records would be in one."""
    sources: dict[str, str] = {}
    for one in experiments:
        other = sources.setdefault(one.name, one.source)
        if other != one.source:
            raise UserError(f"run: {other} and {one.source} have one name, {one.name!r}; rename one of them")


def _parts(name: str) -> Iterator[tuple[Experiment, Sequence[Any], Sequence[int]]]:
    """Yield the experiments of a name with the cells and seeds that it has there."""
    if name.endswith(FILES):
        experiment = load(str(Path(name).absolute()))
        if experiment.name in find():
            raise UserError(f"run: {name!r} has the name of an experiment of the suite; rename the file")
        yield experiment, experiment.cells, experiment.seeds
    elif name in SUITES:
        for part in SUITES[name]:
            experiment = named(part.experiment)
            yield experiment, part.of(experiment.cells), part.seeds or experiment.seeds
    elif name in find():
        experiment = named(name)
        yield experiment, experiment.cells, experiment.seeds
    else:
        known = [*SUITES, *find()]
        raise UserError(f"run: there is no suite or experiment {name!r}{_meant(name, known)}; `list` shows all")


def _asked(experiment: Experiment, cell: Any, only: Sequence[str]) -> bool:  # noqa: ANN401
    names = (cell.name, f"{experiment.name}/{cell.name}")
    return not only or any(fnmatchcase(name, pattern) for name in names for pattern in only)


def _meant(name: str, known: Sequence[str]) -> str:
    found = nearest(name, known)
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""
