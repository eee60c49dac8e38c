"""Is Stable-Baselines3 slower for having one thread, as all sides have?

Networks are small, so that a second thread costs more than it does. Where Stable-Baselines3 is faster with two, its
sides get them.
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.speed._sides import showing
from benchmarks.speed._sides.running import run
from benchmarks.speed._sides.workload import Side, Workload, cells_of
from benchmarks.speed.same_work import HALFCHEETAH, SAME_WORK
from benchmarks.suite.records import Record

__all__ = ["CELLS", "EXCLUSIVE", "SEEDS", "WORKLOADS", "numbers", "plot", "run", "table"]


def threads_of(workload: Workload) -> Workload:
    """Return Stable-Baselines3's side of a workload with one thread and with two: it is given its better one."""
    side = workload.sides["sb3"]
    sides = {"sb3, 1 thread": side, "sb3, 2 threads": Side(side.program, side.settings | {"threads": 2})}
    title = f"Threads: {workload.title}"
    return Workload(title, workload.settings, sides, {"sb3, 2 threads": 1.0}, subject="sb3, 1 thread")


WORKLOADS = {"threads": threads_of(SAME_WORK), "threads-halfcheetah": threads_of(HALFCHEETAH)}

SEEDS = range(3)  # rounds
EXCLUSIVE = True
CELLS = cells_of(WORKLOADS)


def table(records: Sequence[Record]) -> dict[str, str]:
    """Return all ratios, and the sides of each workload."""
    return showing.tables(WORKLOADS, records)


def numbers(records: Sequence[Record]) -> dict[str, str]:
    """Return ratios, seconds and gigabytes."""
    return showing.numbers(WORKLOADS, records)


def plot(records: Sequence[Record]) -> Figure | None:
    """Draw the ratios."""
    return showing.plot(WORKLOADS, records, "Stable-Baselines3 with one thread and with two")
