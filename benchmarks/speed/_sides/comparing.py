"""Speeds of sides beside each other: medians over rounds, and ratios of two runs of the same round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.speed._sides.running import WORKERS, Run
from benchmarks.speed._sides.workload import Workload, name_of
from benchmarks.suite.records import Record, latest

Runs = dict[str, dict[int, Run | None]]  # of each side and round; None: it failed


@dataclass(frozen=True)
class Ratio:
    """How many times as fast as another side the subject is.

    Attributes:
        each: round by round.
        by_processor: the median by the processors' clock; None: it was not read.
        at_least: what is asked; 0: nothing.
    """

    each: tuple[float, ...]
    by_processor: float | None
    at_least: float

    @property
    def median(self) -> float | None:
        """The median over rounds; None: no round has both sides."""
        return median(self.each) if self.each else None

    @property
    def met(self) -> bool:
        """Whether it is what is asked."""
        return self.median is not None and self.median >= self.at_least


def runs_of(name: str, workload: Workload, records: Sequence[Record]) -> Runs:
    """Return the runs of a workload's sides by their rounds, each with where it was made."""
    found: Runs = {side: {} for side in workload.sides}
    sides = {name_of(name, side): side for side in workload.sides}
    for record in sorted(latest(records), key=lambda record: record.seed):
        if side := sides.get(record.cell["name"]):
            where = {"commit": record.commit, "machine": record.machine}
            threads = record.cell.get("settings", {}).get("threads", 1)
            found[side][record.seed] = record.result and record.result | {"made": where, "threads": threads}
    return found


def made(runs: Mapping[int, Run | None]) -> list[Run]:
    """Return the runs that did not fail."""
    return [run for run in runs.values() if run is not None]


def cost(run: Run | None, *, by_time: bool, peer: bool, clock: str = "seconds") -> float:
    """Return the seconds a run took (a step, or until the return was reached), by the wall's or the processor's clock.

    One that did not reach it took all its time if it is a peer's, which is in the peer's favour, and ∞ if it is ours,
    as one of ours that failed did.
    """
    if run is None:
        return math.inf
    if not by_time:
        return run[clock] / run["steps"]
    return run[clock] if run["reached"] or peer else math.inf


def core_seconds(run: Run) -> float:
    """Return the seconds of all cores that a run had for itself: one for each thread of each of its processes."""
    return run["seconds"] * run.get("processes", 1) * run.get("threads", 1)


def peak(runs: Sequence[Run]) -> float | None:
    """Return the median of the runs' peak memory in MB, None where a side does not tell it."""
    found = [run["peak_megabytes"] for run in runs if "peak_megabytes" in run]
    return median(found) if found else None


def compared(workload: Workload, runs: Runs) -> dict[str, Ratio]:
    """Return the ratio of the subject to each of the other sides, over rounds in which the other did not fail.

    Runs of other commits or machines are no round, as where a run that was interrupted has gone on later.
    """
    return {side: _ratio(workload, runs, side, at_least) for side, at_least in workload.at_least.items()}


def _ratio(workload: Workload, runs: Runs, side: str, at_least: float) -> Ratio:
    own, theirs = runs[workload.subject], runs[side]
    rounds = [number for number in own if _are_a_round(own[number], theirs.get(number))]

    def each(clock: str) -> tuple[float, ...]:
        return tuple(
            costs(workload, side, theirs[number], clock) / costs(workload, workload.subject, own[number], clock)
            for number in rounds
        )

    by_processor = each("cpu_seconds")
    return Ratio(each("seconds"), median(by_processor) if by_processor else None, at_least)


def _are_a_round(own: Run | None, theirs: Run | None) -> bool:
    return theirs is not None and (own is None or own.get("made") == theirs.get("made"))


def costs(workload: Workload, side: str, run: Run | None, clock: str) -> float:
    """Return what a run of a side has cost."""
    peer = workload.sides[side].program in WORKERS
    return cost(run, by_time=workload.by_time, peer=peer, clock=clock)


def memory(workload: Workload, runs: Runs) -> dict[str, float]:
    """Return how many times the peak memory of those sides the subject's is of which that is asked."""
    own = peak(made(runs[workload.subject]))
    theirs = {side: peak(made(runs[side])) for side in workload.memory_at_most}
    return {side: own / other for side, other in theirs.items() if own is not None and other is not None}


def speed(runs: Sequence[Run], *, a_core: bool = False) -> float | None:
    """Return the median of the runs' steps per second, or per second and core."""
    each = [run["steps"] / (core_seconds(run) if a_core else run["seconds"]) for run in runs]
    return median(each) if each else None


def share(runs: Sequence[Run]) -> float | None:
    """Return the median share of the time that a run's processes spent on a processor."""
    each = [run["cpu_seconds"] / core_seconds(run) for run in runs]
    return median(each) if each else None


def middle(runs: Sequence[Run], name: str) -> float | None:
    """Return the median of a number of the runs."""
    return median(run[name] for run in runs) if runs else None


def versions(records: Sequence[Record]) -> dict[str, Any]:
    """Return the versions of the libraries that have run."""
    results = [record.result for record in records if record.result is not None]
    return {name: version for result in results for name, version in result.get("versions", {}).items()}
