"""What does each trick of `pg_agents._fast` save, of its own operation and of whole workloads?

Its plain twin is put in its place wherever it was imported, and both run in turns, on one thread, by processor time:
first the trick's own operation, then every workload in which it is called. Medians: the microseconds of trick and twin,
the share of the operation that the trick saves, and the share of each workload with its standard error. In brackets
stands what the calls of one step save by the operation's measurement, which is finer than the clock where a call always
costs about the same.

A trick stays where it saves at least 10 % of its own operation and 0.5 % of at least one workload; "measure again" says
that the errors, of which three are allowed, leave it open: a quiet machine decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import CodeType
from typing import Any, NamedTuple

import torch

from benchmarks.speed._tricks.measure import Saving, compare
from benchmarks.speed._tricks.operations import TRICKS, Trick
from benchmarks.speed._tricks.replaced import Make, calls_of
from benchmarks.speed._tricks.workloads import WORKLOADS
from benchmarks.suite.tables import NONE, Measured, cell_rows, markdown

OF_OPERATION, OF_WORKLOAD = 0.10, 0.005  # what a trick is to save at least
ERRORS = 3  # standard errors on either side of a limit that leave it open
PATIENCE = {False: 3, True: 1}  # times as long: nothing but the clock decides where calls cannot


@dataclass(frozen=True)
class Cell:
    """A trick.

    Attributes:
        name: module and function.
        twin: what takes its place.
        operation_seconds: of processor time for its operation.
        workload_seconds: for each workload.
        workloads: in which it may run.
    """

    name: str
    twin: str
    operation_seconds: float = 1.0
    workload_seconds: float = 1.0
    workloads: tuple[str, ...] = tuple(WORKLOADS)


CELLS = [Cell(trick.name, trick.twin.__qualname__) for trick in TRICKS]
SEEDS = (0,)
EXCLUSIVE = True


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


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return what a trick saves of its operation, and of the workloads in which it runs."""
    torch.set_num_threads(1)
    trick = next(trick for trick in TRICKS if trick.name == cell.name)
    operation = compare(trick.trick, trick.twin, trick.operation, cell.operation_seconds)
    a_call = (operation.plain_seconds - operation.seconds) / max(1, _calls_of_operation(trick))
    shares = {}
    for name in cell.workloads:
        found = calls(WORKLOADS[name])
        if not _runs(trick, found):
            continue
        count = _counted(trick, name, found)
        seconds = PATIENCE[bool(count)] * cell.workload_seconds
        measured = compare(trick.trick, trick.twin, WORKLOADS[name], seconds)
        shares[name] = Share(measured, count * a_call / measured.seconds if count else None)
    return {
        "verdict": verdict(operation, list(shares.values())),
        "operation": operation._asdict(),
        "workloads": {n: share.measured._asdict() | {"by_calls": share.by_calls} for n, share in shares.items()},
    }


def table(records: Sequence[Measured]) -> str:
    """Return a row for each trick."""

    def rows(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
        for run in runs:
            operation = run["operation"]
            times = [f"{1e6 * operation[name]:.2f}" for name in ("seconds", "plain_seconds")]
            shares = [percent(run["workloads"].get(name)) for name in WORKLOADS]
            yield [run["verdict"], *times, percent(operation), *shares]

    heads = ("trick", "verdict", "trick, µs", "twin, µs", "of its operation", *WORKLOADS)
    return markdown(heads, cell_rows(CELLS, records, rows), 2)


def percent(saving: dict[str, Any] | None) -> str:
    """Return the percentage that is saved, with its standard error, and in brackets that by calls."""
    if not saving:
        return NONE
    by_calls = f" ({100 * saving['by_calls']:.1f})" if saving.get("by_calls") is not None else ""
    return f"{100 * saving['saved']:.1f} ± {100 * saving['error']:.1f} %{by_calls}"
