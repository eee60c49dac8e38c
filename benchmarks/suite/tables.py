"""Tables in Markdown that experiments share: their rows are cells, measured, failed or missing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

NONE = "–"
MISSING = "missing"


class Named(Protocol):
    """A cell, of which a table need know the name alone."""

    @property
    def name(self) -> str:
        """Its name within the experiment."""


class Measured(Protocol):
    """A record, of which a table need know whose it is, what was measured, or why it failed."""

    @property
    def cell(self) -> dict[str, Any]:
        """The cell's content, with its name."""

    @property
    def seed(self) -> int:
        """The seed."""

    @property
    def result(self) -> dict[str, Any] | None:
        """What was measured; None: it failed."""

    @property
    def error(self) -> str | None:
        """Why it failed."""

    @property
    def seconds(self) -> float | None:
        """What it took, if that is known."""


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: int | None = None) -> str:
    """Return a table.

    Args:
        heads: of the columns.
        rows: the texts of each row; those that are missing at its end are empty.
        numbers: of how many columns at the left the texts are words; the others' are numbers, set to the right.

    Raises:
        ValueError: a row has more cells than the head.
    """
    words = len(heads) if numbers is None else numbers
    lines = [heads, ["---"] * words + ["---:"] * (len(heads) - words)]
    for row in rows:
        if len(row) > len(heads):
            raise ValueError(f"rows must have at most {len(heads)} cells, as the head has, got {list(row)}")
        lines.append([*row, *[""] * (len(heads) - len(row))])
    return "\n".join(f"| {' | '.join(map(_in_a_row, line))} |" for line in lines)


def _in_a_row(text: str) -> str:
    """Return a text that ends neither its cell nor its row."""
    return re.sub(r"(?<!\\)\|", r"\\|", text.replace("\n", " "))


def number(value: float | None, digits: int = 4) -> str:
    """Return a number with its significant digits, all of those before the point, and a minus that is one."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return str(value).replace("inf", "∞").replace("-", "−")
    whole = abs(value) >= 10 ** (digits - 1)
    text = f"{value:,.0f}" if whole else f"{value:.{digits}g}"
    return re.sub(r"e-0?", "e−", text).replace("-", "−")


# -- rows of an experiment's cells -------------------------------------------------------------------------------------
def by_cell(records: Iterable[Measured]) -> dict[str, dict[int, Measured]]:
    """Return the latest record of each cell, by name, and seed."""
    found: dict[str, dict[int, Measured]] = {}
    for record in records:
        found.setdefault(record.cell["name"], {})[record.seed] = record
    return found


def results(records: Mapping[int, Measured]) -> list[dict[str, Any]]:
    """Return what was measured with the seeds that did not fail."""
    return [record.result for record in records.values() if record.result is not None]


def failures(records: Mapping[int, Measured]) -> str:
    """Return the error of a cell and of how many seeds, for a table; "" where there is none."""
    errors = [record.error for record in records.values() if record.error is not None]
    if not errors:
        return ""
    error = (errors[-1].splitlines() or [""])[0].replace("|", "\\|")
    return f"**failed** ({len(errors)} of {len(records)}): {error}"


def cell_rows(
    cells: Iterable[Named],
    records: Iterable[Measured],
    measured: Callable[[list[dict[str, Any]]], Iterable[Sequence[str]]],
) -> list[list[str]]:
    """Return the rows of cells, each with the cell's name in front; a cell without a record is there as missing.

    Args:
        cells: all that there are to be.
        records: what there is.
        measured: makes the rows of a cell, without its name, from the results of its seeds.
    """
    found, rows = by_cell(records), []
    for cell in cells:
        mine = found.get(cell.name, {})
        each = [list(row) for row in measured(results(mine))] if results(mine) else []
        said = failures(mine) if mine else MISSING
        rows += [[cell.name, *row] for row in each] + ([[cell.name, said]] if said else [])
    return rows
