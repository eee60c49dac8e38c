"""Is Stable-Baselines3 slower for having one thread, as all sides have?

Networks are small, so that a second thread costs more than it does. Where Stable-Baselines3 is faster with two in every
round, its sides get them; where the range of the ratios holds 1, a second thread costs time of the processor alone.
"""

from __future__ import annotations

from benchmarks.speed._sides.running import run
from benchmarks.speed._sides.showing import Comparison
from benchmarks.speed._sides.workload import Side, Workload, cells_of
from benchmarks.speed.same_work import HALFCHEETAH, SAME_WORK

__all__ = ["CELLS", "EXCLUSIVE", "SEEDS", "WORKLOADS", "numbers", "plot", "run", "table"]


def threads_of(workload: Workload) -> Workload:
    """Return Stable-Baselines3's side of a workload with one thread and with two: it is given its better one."""
    side = workload.sides["sb3"]
    sides = {"sb3, 1 thread": side, "sb3, 2 threads": Side(side.program, side.settings | {"threads": 2})}
    title = f"Threads: {workload.title}"
    at_least = {"sb3, 2 threads": 1.0}
    return Workload(title, workload.settings, sides, at_least, subject="sb3, 1 thread", quiet=0.0)


WORKLOADS = {"threads": threads_of(SAME_WORK), "threads-halfcheetah": threads_of(HALFCHEETAH)}

SEEDS = range(3)  # rounds
EXCLUSIVE = True
CELLS = cells_of(WORKLOADS)
COMPARISON = Comparison(WORKLOADS, "Stable-Baselines3 with one thread and with two")
table, numbers, plot = COMPARISON.table, COMPARISON.numbers, COMPARISON.plot
