"""Writes what was found as tables: a fault each, a row a library's way of saving."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.durability.cells import CELLS, CONTROL, Cell

Record = dict[str, Any]
HEADS = {
    "kill": (
        "Killed while it saves",
        "`kill -9` at a random instant of the time that a save of at least 4 MiB over an earlier one takes. Good: the "
        "earlier one loads, or the new one, bit for bit. Behind it: how many kills came before the save returned.",
    ),
    "flip": (
        "One flipped bit",
        "Anywhere in the files of a save of usual size. Good: it is refused, or what loads is the same.",
    ),
    "truncate": (
        "Cut off",
        "A file of the save ends early, at places evenly spread over all files. Good: it is refused, or what loads is "
        "the same.",
    ),
    "full": (
        "No space while it saves",
        "No file can grow beyond a limit, from nothing to nine tenths of the largest file, while it saves over an "
        "earlier one. Good: the earlier one loads afterwards.",
    ),
    "terminate": (
        "SIGTERM while it learns",
        "At a random instant, 0.5 to 5 seconds after learning has begun. Good: something loads afterwards.",
    ),
    "resume": (
        "Going on",
        "Two trainings go on from one save on half of the way, each in a process of its own, beside the training that "
        "was not stopped. Good: the parameters of all three are equal to the bit.",
    ),
}
GOOD = {
    "kill": {"old", "new"},
    "flip": {"old", "refused"},
    "truncate": {"old", "refused"},
    "full": {"old", "new"},
    "terminate": {"something loads"},
    "resume": {"equal"},
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


def row(cell: Cell, record: Record | None) -> list[str]:
    """Return the cells of a row."""
    if record is None:
        return [cell.library, f"`{cell.way}`", "not run", ""]
    found, count = record["found"], sum(record["found"].values())
    named = {SAME.get(cell.fault, outcome) if outcome == "old" else outcome: n for outcome, n in found.items()}
    more = {
        "inside": "kills inside the save: {}",
        "said": "the save says: {}",
        "unnoticed": "saved without an error, and not there: {}",
        "codes": "exit code: {}",
        "two_resumed_are_equal": "the two that went on are equal: {}",
    }
    facts = []
    for name, text in more.items():
        if name in record:
            value = record[name]
            facts.append(text.format(listed(value) if isinstance(value, dict) else f"{value} of {count}"))
    return [cell.library, f"`{cell.way}`", f"{good(cell.fault, found)} of {count}", "; ".join([listed(named), *facts])]


def table(found: Mapping[str, Record], cells: Iterable[Cell] = CELLS) -> str:
    """Return the tables as text, from the newest record of each cell."""
    versions: dict[str, str] = {}
    for record in found.values():
        versions |= record["versions"]
    lines = [
        "# Durability",
        "",
        "The same faults for other libraries and for us, each with its own calls for saving and loading, in forks of a "
        f"process of its own Python. {', '.join(f'{name} {version}' for name, version in sorted(versions.items()))}. "
        f'"{CONTROL.capitalize()}" is the control: a writer that overwrites its file in pieces. '
        "What a process is killed by is not a power failure: that a save is on the disk when it returns is not "
        "tested here. `python -m benchmarks durability run`, then `table`; results/durability.jsonl has the command "
        "and the commit of every row.",
    ]
    cells = list(cells)
    for fault, (head, text) in HEADS.items():
        rows = [row(cell, found.get(cell.name)) for cell in cells if cell.fault == fault]
        if rows:
            rows = [["library", "way", "good", "found"], ["---"] * 4, *rows]
            lines += ["", f"## {head}", "", text, "", *(f"| {' | '.join(each)} |" for each in rows)]
    return "\n".join(lines) + "\n"
