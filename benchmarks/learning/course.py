"""How long do the chapters of the course take? Each runs as a script, in an interpreter of its own, with its exercise.

"Processor" is the time of all its threads, imports included, which depends less on what else the machine does.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.suite.tables import Measured, cell_rows, markdown, number

FOLDER = Path(__file__).parents[2] / "docs" / "course"


@dataclass(frozen=True)
class Cell:
    """A chapter; `name` is that of its file."""

    name: str


CELLS = [Cell(path.stem) for path in sorted(FOLDER.glob("[0-9][0-9]_*.py"))]
SEEDS = (0,)
EXCLUSIVE = True


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return a chapter's seconds, by the wall's clock and by the processor's, and the machine's load before it.

    Raises:
        subprocess.CalledProcessError: the chapter ends with an error.
    """
    load, before, started = os.getloadavg()[0], resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    chapter = [sys.executable, str(FOLDER / f"{cell.name}.py")]
    subprocess.run(chapter, env=os.environ | {"MPLBACKEND": "Agg"}, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"wall": time.perf_counter() - started, "processor": processor, "load": load}


def table(records: Sequence[Measured]) -> str:
    """Return seconds of each chapter."""

    def rows(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
        for run in runs:
            yield [number(run[name], 2) for name in ("wall", "processor", "load")]

    return markdown(("chapter", "seconds", "of the processor", "load before"), cell_rows(CELLS, records, rows), 1)


def numbers(records: Sequence[Measured]) -> dict[str, str]:
    """Return the seconds of all chapters together, and of the longest."""
    found = [one.result for one in records if one.result is not None]
    if len(found) < len(CELLS):
        return {}
    walls = [one["wall"] for one in found]
    return {"all": number(sum(walls), 2), "longest": number(max(walls), 2)}
