"""`python -m benchmarks tricks`: what each trick of `pg_agents._fast` saves, of its own operation and of workloads.

A trick stays where it saves at least 10 % of its own operation and 0.5 % of at least one workload. Workloads run with
the trick and with its twin in turns; where the error of that leaves open whether 0.5 % is saved, the number of calls
decides: what the calls of a step save by the operation's measurement.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import torch

from benchmarks.peers.machine import facts
from benchmarks.records import RESULTS, write
from benchmarks.tricks.measure import Saving, compare
from benchmarks.tricks.operations import TRICKS, Trick
from benchmarks.tricks.replaced import Make, calls_of
from benchmarks.tricks.workloads import WORKLOADS

OF_OPERATION, OF_WORKLOAD = 0.10, 0.005  # what a trick is to save at least
ERRORS = 2  # standard errors on either side of a limit that leave it open
OPERATION_SECONDS = 1.0


class Share(NamedTuple):
    """What a trick saves of a workload.

    Attributes:
        measured: the workload with the trick and with the twin.
        by_calls: what the calls of one step save by the operation's measurement, divided by the step's time; None where
            calls are not alike, and where the trick does its work when networks are made.
    """

    measured: Saving
    by_calls: float | None

    def is_enough(self) -> bool | None:
        """Return whether it is as much as asked: as measured, or by calls where that leaves it open; None: open."""
        found = _at_least(self.measured, OF_WORKLOAD)
        return self.by_calls > OF_WORKLOAD if found is None and self.by_calls is not None else found


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks tricks", description=__doc__)
    top.add_argument("--seconds", type=float, default=200.0, help="of processor time in all, about")
    top.add_argument("--only", default="", metavar="PATTERN", help="tricks whose name holds this regular expression")
    top.add_argument("--workloads", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    top.add_argument("--out", type=Path, default=RESULTS, help="folder of the result")
    return top


def verdict(operation: Saving, shares: Sequence[Share]) -> str:
    """Return "stays", "goes" or "measure again"."""
    of_operation, of_workloads = _at_least(operation, OF_OPERATION), {share.is_enough() for share in shares}
    if of_operation is False or of_workloads <= {False}:
        return "goes"
    return "stays" if of_operation and True in of_workloads else "measure again"


def _at_least(saving: Saving, limit: float) -> bool | None:
    """Return whether so much is saved; None: the error leaves it open."""
    if abs(saving.saved - limit) < ERRORS * saving.error:
        return None
    return saving.saved > limit


def calls(make: Make) -> tuple[Counter[CodeType], Counter[CodeType]]:
    """Return how often each function is called where something is made, and where it is run a second time."""
    made: list[Callable[[], object]] = []
    making = calls_of(lambda: made.append(make()))
    made[0]()
    return making, calls_of(made[0])


def measure(tricks: Sequence[Trick], workloads: Sequence[str], seconds: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each trick: what it saves of its operation, and of the workloads in which it runs."""
    torch.set_num_threads(1)
    found = {name: calls(WORKLOADS[name]) for name in workloads}
    used = {t.name: [n for n, both in found.items() if any(t.trick.__code__ in one for one in both)] for t in tricks}
    each = (seconds - OPERATION_SECONDS * len(tricks)) / max(1, sum(map(len, used.values())))
    for trick in tricks:
        operation = compare(trick.trick, trick.twin, trick.operation, OPERATION_SECONDS)
        in_operation = calls(trick.operation)[1][trick.trick.__code__]
        shares = {}
        for name in used[trick.name]:
            measured, times = compare(trick.trick, trick.twin, WORKLOADS[name], each), found[name][1]
            saved = operation.plain_seconds - operation.seconds
            count = times[trick.trick.__code__]
            alike = count and (trick.alike is None or name in trick.alike)
            by_calls = count * saved / in_operation / measured.seconds if alike else None
            shares[name] = Share(measured, by_calls)
        yield {
            "trick": trick.name,
            "twin": trick.twin.__qualname__,
            "verdict": verdict(operation, list(shares.values())),
            "operation": operation._asdict(),
            "workloads": {n: share.measured._asdict() | {"by_calls": share.by_calls} for n, share in shares.items()},
        }


def line(row: dict[str, Any], workloads: Sequence[str]) -> str:
    """Return a row as text: microseconds of trick and twin, and percentages that are saved."""

    def percent(saving: dict[str, float] | None) -> str:
        if not saving:
            return f"{'—':>18}"
        calls = f"({100 * saving['by_calls']:.1f})" if saving.get("by_calls") is not None else ""
        return f"{100 * saving['saved']:5.1f} ±{100 * saving['error']:4.1f} {calls:>6}"

    operation = row["operation"]
    times = f"{1e6 * operation['seconds']:9.2f} {1e6 * operation['plain_seconds']:9.2f}"
    shares = " ".join(percent(row["workloads"].get(name)) for name in workloads)
    return f"{row['trick']:30} {times} {percent(operation)[:12]} {shares}  {row['verdict']}"


def main(arguments: list[str]) -> int:
    """Measure, print and write results/tricks.json; 1 where a trick does not save enough."""
    options = parser().parse_args(arguments)
    tricks = [trick for trick in TRICKS if re.search(options.only, trick.name)]
    heads = " ".join(f"{name:>18}" for name in options.workloads)
    print(f"{'':30} {'trick µs':>9} {'twin µs':>9} {'saved %':>12} {heads}   (in brackets: by calls)")
    rows = []
    for row in measure(tricks, options.workloads, options.seconds):
        rows.append(row)
        print(line(row, options.workloads), flush=True)
    command = " ".join(["python -m benchmarks tricks", *arguments])
    write("tricks", command, {"machine": facts(), "rows": rows}, indent=1, folder=options.out)
    return 1 if any(row["verdict"] == "goes" for row in rows) else 0
