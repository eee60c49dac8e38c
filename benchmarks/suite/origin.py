"""The line below a table: where its numbers come from, how many seeds they are, and what is missing or failed."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.suite.experiment import Experiment
from benchmarks.suite.records import Record

NAMED = 4  # of commands, commits, machines, cells and errors; of more it says how many
LONGEST = 100  # characters of an error


def origin(experiment: Experiment, records: Sequence[Record]) -> str:
    """Return the line, in small print."""
    parts = [
        _few([f"`{command}`" for command in _said(record.command for record in records)])
        or f"`python -m benchmarks run {experiment.name}`",
        _after("commit ", _few(_said(record.commit for record in records))),
        _few(_said(machine_text(record.machine) for record in records)),
        seeds_text(experiment, records),
        _after("missing: ", _missing(experiment, records)),
        _after("failed: ", _failed(records)),
    ]
    return f"<sub>{' · '.join(part for part in parts if part)}</sub>"


def machine_text(machine: dict[str, Any] | None) -> str | None:
    """Return a machine in a few words."""
    if not machine:
        return None
    words = [machine.get("cpu")]
    words += [f"{machine['cores']} cores"] if machine.get("cores") else []
    words += [f"{machine['memory_gib']:.0f} GiB"] if machine.get("memory_gib") else []
    return ", ".join(str(word) for word in words if word)


def seeds_text(experiment: Experiment, records: Sequence[Record]) -> str:
    """Return how many seeds the cells have that were measured."""
    counts = Counter((record.experiment, record.cell["name"]) for record in records)
    if not counts:
        count = len(experiment.cells) * len(experiment.seeds)
        return f"missing: all of {count} runs, nothing has been measured yet" if count else ""
    least, most = min(counts.values()), max(counts.values())
    plural = "" if most == 1 else "s"
    return f"{least} seed{plural} a cell" if least == most else f"{least} to {most} seeds a cell"


def _missing(experiment: Experiment, records: Sequence[Record]) -> str:
    """Return how many runs of how many there are not, and of which cells."""
    made = {(record.cell["name"], record.seed) for record in records}
    lacking = {cell.name: sum((cell.name, seed) not in made for seed in experiment.seeds) for cell in experiment.cells}
    lacking = {name: count for name, count in lacking.items() if count}
    if not lacking or not made:
        return ""
    asked, each = len(experiment.cells) * len(experiment.seeds), len(experiment.seeds)
    named = [f"{name} (all)" if count == each else f"{name} ({count})" for name, count in lacking.items()]
    return f"{sum(lacking.values())} of {asked} runs, {_few(named)}"


def _failed(records: Sequence[Record]) -> str:
    """Return which runs failed, with their errors."""
    return _few(
        [
            f"{record.cell['name']}, seed {record.seed} ({html.escape(_first_line(record.error), quote=False)})"
            for record in records
            if record.error is not None
        ]
    )


def _first_line(error: str) -> str:
    line = (error.splitlines() or [""])[0]
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"


def _said(values: Iterable[str | None]) -> list[str]:
    """Return what values there are, once each, in their order."""
    return list(dict.fromkeys(value for value in values if value))


def _few(texts: list[str]) -> str:
    more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more


def _after(word: str, text: str) -> str:
    return word + text if text else ""
