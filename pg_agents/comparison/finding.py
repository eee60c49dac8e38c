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
DEPTH = 4  # folders below the one that was named


@dataclass(frozen=True)
class Found:
    """A run's folder, and its name: no more of its path than was typed, and nothing above a folder of runs."""

    folder: Path
    name: str


def runs_in(paths: Iterable[Path]) -> list[Found]:
    """Return the run folders that are named by `paths`, or are in them, each once, in this order.

    A folder with folders seed-N that are runs is those runs: what stands beside them are their means.

    Raises:
        UserError: a path is no folder, or there is no run in it; nothing is named.
    """
    found: dict[Path, Found] = {}
    for path in paths:
        if not path.is_dir():
            what = "is no folder" if path.exists() else "does not exist"
            raise UserError(f"runs: {path} {what}; give folders of runs")
        inside = list(_runs(path, DEPTH))
        if not inside:
            raise UserError(
                f"runs: {path} holds no run (no metrics.jsonl, progress.csv or monitor.csv in it or in folders in "
                "it); give folders that train wrote, or with such a file"
            )
        for folder in inside:
            found.setdefault(folder.resolve(), Found(folder, "/".join([named(path), *folder.relative_to(path).parts])))
    if not found:
        raise UserError("runs: none are named; give folders of runs, like runs/*")
    return list(found.values())


def _runs(folder: Path, depth: int) -> Iterator[Path]:
    within = _folders(folder)
    if seeds := [one for one in within if SEED.fullmatch(one.name) and is_run(one)]:
        yield from sorted(seeds, key=lambda one: int(one.name.removeprefix("seed-")))
    elif is_run(folder):
        yield folder
    elif depth:
        for one in within:
            yield from _runs(one, depth - 1)


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that may be runs; links are not followed, since they may lead in a circle."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    return [folder / name for name in sorted(names) if not name.startswith(".")]


def named(path: Path) -> str:
    """Return a typed path without what it says of the machine: of an absolute one its name."""
    parts = [part for part in path.parts if part not in ("..", ".")] if not path.is_absolute() else []
    return "/".join(parts or [path.resolve().name])
