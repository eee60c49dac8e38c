"""Run folders among the folders that somebody names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pg_agents.comparison.reading import is_run
from pg_agents.errors import UserError

SEED = re.compile(r"seed-\d+")  # the folders of several seeds of a run
DEPTH, LINKED = 4, 1  # folders below the one that was named, and below one that a link leads to


OWN = "comparison.html"  # what `pg-agents compare` leaves in a folder


@dataclass(frozen=True)
class Found:
    """A run's folder, and its name: no more of its path than was typed, and nothing above a folder of runs."""

    folder: Path
    name: str


def runs_in(paths: Iterable[Path]) -> list[Found]:
    """Return the run folders of `search`, whatever it has left out."""
    return search(paths)[0]


def search(paths: Iterable[Path]) -> tuple[list[Found], list[Path]]:
    """Return the run folders that are named by `paths`, or are in them, each once, in this order; and what has no runs.

    A folder with folders seed-N that are runs is those runs: what stands beside them are their means. Links are
    followed to runs and to folders of runs. Of several paths, like runs/*, those with no run in them are left out, and
    returned but for folders that `compare` has made.

    Raises:
        UserError: a path does not exist, or there is no run in any; nothing is named.
    """
    found: dict[Path, Found] = {}
    empty: list[Path] = []
    typed = list(paths)
    for path, name in names_of(typed).items():
        if not path.exists():
            raise UserError(f"runs: {path} does not exist; give folders of runs")
        inside = list(_runs(path, DEPTH, set())) if path.is_dir() else []
        empty += [] if inside else [path]
        for folder in inside:
            found.setdefault(folder.resolve(), Found(folder, "/".join([name, *folder.relative_to(path).parts])))
    if not typed:
        raise UserError("runs: none are named; give folders of runs, like runs/*")
    if not found:
        raise UserError(_nothing_in(empty[0]))
    return list(found.values()), [path for path in empty if not (path / OWN).exists()]


def _nothing_in(path: Path) -> str:
    if not path.is_dir():
        return f"runs: {path} is no folder; give folders of runs"
    return (
        f"runs: {path} holds no run (no metrics.jsonl, progress.csv or monitor.csv in it or in folders in it); give "
        "folders that train wrote, or with such a file"
    )


def _runs(folder: Path, depth: int, seen: set[Path]) -> Iterator[Path]:
    """Yield the runs in a folder; `seen` are those that were looked into, since links may lead in a circle."""
    if (real := folder.resolve()) in seen:
        return
    seen.add(real)
    within = _folders(folder)
    if seeds := [one for one in within if SEED.fullmatch(one.name) and is_run(one)]:
        yield from sorted(seeds, key=lambda one: int(one.name.removeprefix("seed-")))
    elif is_run(folder):
        yield folder
    elif depth:
        for one in within:
            yield from _runs(one, min(depth - 1, LINKED) if one.is_symlink() else depth - 1, seen)


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that may be runs."""
    names = [name for name in sorted(os.listdir(folder)) if not name.startswith(".")]
    return [folder / name for name in names if (folder / name).is_dir()]


def named(path: Path) -> str:
    """Return a typed path without what it says of the machine: of an absolute one its name."""
    parts = [part for part in path.parts if part not in ("..", ".")] if not path.is_absolute() else []
    return "/".join(parts or [path.resolve().name])


def names_of(paths: Iterable[Path]) -> dict[Path, str]:
    """Return the names of typed paths: where two of different folders are equal, as much more as tells them apart."""
    names = {path: named(path) for path in paths}
    real = {path: path.resolve() for path in names}
    for length in range(2, max((len(one.parts) for one in real.values()), default=0)):
        alike: dict[str, set[Path]] = {}
        for path, name in names.items():
            alike.setdefault(name, set()).add(real[path])
        unclear = {path for path, name in names.items() if len(alike[name]) > 1}
        names |= {path: "/".join(real[path].parts[-length:]) for path in unclear}
    return names
