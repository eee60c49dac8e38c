"""What is left of a save when its writer, its file or its disk fails, with other libraries and with us?

The same faults happen to each library, which saves and loads with its own calls, in forks of a process of its own
Python (`python -m benchmarks peers install`; PG_AGENTS_PEERS names another folder). "No protection" is the control: a
writer that overwrites its file in pieces. What a process is killed by is not a power failure: that a save is on the
disk when it returns is not tested here.

- kill: `kill -9` at a random instant of the time that a save of at least 4 MiB over an earlier one takes. Good: the
  earlier one loads, or the new one, bit for bit. Behind it: how many kills came before the save returned.
- flip: one bit is flipped, anywhere in the files of a save of usual size. Good: it is refused, or what loads is the
  same.
- truncate: a file of the save ends early, at places evenly spread over all files. Good: as for flip.
- full: no file can grow beyond a limit, from nothing to nine tenths of the largest file, while it saves over an
  earlier one. Good: the earlier one loads afterwards.
- terminate: SIGTERM at a random instant, 0.5 to 5 seconds after learning has begun. Good: something loads afterwards.
- resume: two trainings go on from one save on half of the way, each in a process of its own, beside the training that
  was not stopped. Good: the parameters of all three are equal to the bit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.durability._faults.cells import CELLS, Cell
from benchmarks.durability._faults.running import found_in
from benchmarks.suite.records import Record
from benchmarks.suite.tables import by_cell, failures, markdown, results

__all__ = ["CELLS", "GOOD", "SEEDS", "good", "listed", "numbers", "plot", "row", "run", "table"]

SEEDS = (0,)
EXCLUSIVE = True  # faults come at instants that are measured
GOOD = {
    "kill": {"old", "new"},
    "flip": {"old", "refused"},
    "truncate": {"old", "refused"},
    "full": {"old", "new"},
    "terminate": {"something loads"},
    "resume": {"equal"},
}
MORE = {  # what else results say, in words
    "inside": "kills inside the save: {}",
    "said": "the save says: {}",
    "unnoticed": "saved without an error, and not there: {}",
    "codes": "exit code: {}",
    "two_resumed_are_equal": "the two that went on are equal: {}",
}
SAME = {"flip": "nothing changes", "truncate": "nothing changes"}  # what "old" is called where nothing is saved anew


def kind(outcome: str) -> str:
    """Return an outcome without its details."""
    return outcome.partition(":")[0]


def good(fault: str, found: Mapping[str, int]) -> int:
    """Return how many of the outcomes are good."""
    return sum(times for outcome, times in found.items() if kind(outcome) in GOOD[fault])


def listed(found: Mapping[str, int]) -> str:
    """Return outcomes and how often there were, the most frequent first."""
    return ", ".join(f"{outcome} {times}" for outcome, times in sorted(found.items(), key=lambda each: -each[1]))


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Let the fault happen, as often as the cell says, and return what was found."""
    return found_in(cell, seed)


def row(cell: Cell, each: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what a row says of a cell's results: how many are good, and everything that was found."""
    record = added(each)
    found, count = record["found"], sum(record["found"].values())
    named = {SAME.get(cell.fault, outcome) if outcome == "old" else outcome: n for outcome, n in found.items()}
    facts = []
    for name, text in MORE.items():
        if name in record:
            value = record[name]
            facts.append(text.format(listed(value) if isinstance(value, dict) else f"{value} of {count}"))
    return [f"{good(cell.fault, found)} of {count}", "; ".join([listed(named), *facts])]


def added(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the sum of what was counted with several seeds."""
    total: dict[str, Any] = {}
    for one in each:
        for name in ("found", *MORE):
            if isinstance(value := one.get(name), dict):
                total[name] = dict(Counter(total.get(name, {})) + Counter(value))
            elif value is not None:
                total[name] = total.get(name, 0) + value
    return total


def table(records: Sequence[Record]) -> dict[str, str]:
    """Return a table for each fault, a row a library's way of saving."""
    heads = ("library", "way", "good", "found")
    return {fault: markdown(heads, _rows(fault, records)) for fault in GOOD}


def _rows(fault: str, records: Sequence[Record]) -> Iterator[list[str]]:
    found = by_cell(records)
    for cell in CELLS:
        if cell.fault == fault:
            mine = found.get(cell.name, {})
            said = row(cell, results(mine)) if results(mine) else ["not run", failures(mine)]
            yield [cell.library, f"`{cell.way}`", *said]


def numbers(records: Sequence[Record]) -> dict[str, str]:
    """Return the versions of the libraries."""
    each = [one for mine in by_cell(records).values() for one in results(mine)]
    versions = {name: version for one in each for name, version in one["versions"].items()}
    return {"versions": ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))}


def plot(records: Sequence[Record]) -> None:
    """Return no picture: the tables say it."""
