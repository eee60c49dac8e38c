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
from benchmarks.records import RESULTS, typed, write
from benchmarks.tricks.measure import Saving, compare
from benchmarks.tricks.operations import TRICKS, Trick
from benchmarks.tricks.replaced import Make, calls_of
from benchmarks.tricks.workloads import WORKLOADS

OF_OPERATION, OF_WORKLOAD = 0.10, 0.005  # what a trick is to save at least
ERRORS = 3  # standard errors on either side of a limit that leave it open
OPERATION_SECONDS = 1.0
PATIENCE = {False: 3, True: 1}  # parts of the time: nothing but the clock decides where calls cannot


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
    top.add_argument("--seconds", type=float, default=160.0, help="of processor time in all, about")
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


def _runs(trick: Trick, found: tuple[Counter[CodeType], Counter[CodeType]]) -> bool:
    return any(trick.trick.__code__ in calls for calls in found)


def _counted(trick: Trick, workload: str, found: tuple[Counter[CodeType], Counter[CodeType]]) -> int:
    """Return how many calls a step has of the kind that the operation measures."""
    return found[1][trick.trick.__code__] if trick.alike is None or workload in trick.alike else 0


def _calls_of_operation(trick: Trick) -> int:
    return calls(trick.operation)[1][trick.trick.__code__]


def measure(tricks: Sequence[Trick], workloads: Sequence[str], seconds: float) -> Iterator[dict[str, Any]]:
    """Yield a row for each trick: what it saves of its operation, and of the workloads in which it runs."""
    torch.set_num_threads(1)
    found = {name: calls(WORKLOADS[name]) for name in workloads}
    cells = {(t.name, n): _counted(t, n, both) for t in tricks for n, both in found.items() if _runs(t, both)}
    each = (seconds - OPERATION_SECONDS * len(tricks)) / max(1, sum(PATIENCE[bool(count)] for count in cells.values()))
    for trick in tricks:
        operation = compare(trick.trick, trick.twin, trick.operation, OPERATION_SECONDS)
        a_call = (operation.plain_seconds - operation.seconds) / max(1, _calls_of_operation(trick))
        shares = {}
        for name in [name for name in workloads if (trick.name, name) in cells]:
            count = cells[trick.name, name]
            measured = compare(trick.trick, trick.twin, WORKLOADS[name], PATIENCE[bool(count)] * each)
            shares[name] = Share(measured, count * a_call / measured.seconds if count else None)
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
    """Measure, print and write results/tricks.json and .txt; 1 where a trick does not save enough."""
    options = parser().parse_args(arguments)
    tricks = [trick for trick in TRICKS if re.search(options.only, trick.name)]
    heads = " ".join(f"{name:>18}" for name in options.workloads)
    table, rows = [f"{'':30} {'trick µs':>9} {'twin µs':>9} {'saved %':>12} {heads}   (in brackets: by calls)"], []
    print(table[0], flush=True)
    for row in measure(tricks, options.workloads, options.seconds):
        rows.append(row)
        table.append(line(row, options.workloads))
        print(table[-1], flush=True)
    write("tricks", typed("tricks", arguments), {"machine": facts(), "rows": rows}, indent=1, folder=options.out)
    (options.out / "tricks.txt").write_text("\n".join(table) + "\n")
    return 1 if any(row["verdict"] == "goes" for row in rows) else 0
