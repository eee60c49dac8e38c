"""Do two commits behave the same, bit for bit?

Every agent in every family of problems, and with every option, is trained for a few updates with each commit, on one
thread and from the same seeds. Compared are the parameters, the metrics of every update, the actions that `act` gives
before and after saving, and the returns of an evaluation. `BITS="OLD NEW" python -m benchmarks run bits` compares two
commits, or the folders of checkouts ("." for the files as they are). Where a commit changes the order of a sum, a file
with `CELLS = cells_of(OLD, NEW, dtype="float64", tolerance=1e-12)` says that nothing else changed.
"""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pg_agents as pg
from benchmarks.correctness._bits.compare import compare
from benchmarks.correctness._bits.sides import side
from benchmarks.correctness._bits.snapshots import identity, snapshot
from benchmarks.correctness._bits.worker.cells import FAMILIES
from benchmarks.suite.records import Record
from benchmarks.suite.tables import MISSING, by_cell, failures, markdown, results

PUBLISHED = ("a33fc44f26", "47b6f1fe54")  # the commits of the results that are kept


@dataclass(frozen=True)
class Cell:
    """An agent in a family of problems, with every option.

    Attributes:
        name: agent and family.
        agent: the agent's name.
        family: one of `FAMILIES`.
        old: the commit that is compared with.
        new: the commit that is compared.
        updates: about so many of each training.
        dtype: of networks.
        tolerance: differences up to this count as none.
    """

    name: str
    agent: str
    family: str
    old: str
    new: str
    updates: int = 3
    dtype: str = "float32"
    tolerance: float = 0.0


def cells_of(old: str, new: str, **options: Any) -> list[Cell]:  # noqa: ANN401
    """Return the cells that compare two states of the code, by their identities."""
    return [Cell(f"{agent}/{family}", agent, family, old, new, **options) for agent in pg.AGENTS for family in FAMILIES]


CELLS = cells_of(*(map(identity, os.environ["BITS"].split()) if "BITS" in os.environ else PUBLISHED))
SEEDS = (0,)  # all seeds are fixed


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Train with both commits side by side and return the comparison; RuntimeError if a side ends."""
    with tempfile.TemporaryDirectory() as folder:
        places = {Path(folder) / "old": cell.old, Path(folder) / "new": cell.new}
        sides = {place: side(snapshot(name), cell.dtype, place.name) for place, name in places.items()}
        for place, one in sides.items():
            one.ask(place, cell.agent, cell.family, cell.updates)
        for one in sides.values():
            one.wait()
        return compare(*places, cell.tolerance)


def table(records: Sequence[Record]) -> str:
    """Return a row for each agent with how many cells are equal, and then every cell that is not."""
    heads = ("agent", "compared", "of them trained", "equal", "largest difference", "only in the old", "in the new")
    found = by_cell(records)
    rows = [_row(agent, found) for agent in dict.fromkeys(cell.agent for cell in CELLS)]
    said = [f"- {line}" for mine in found.values() for one in results(mine) for line in _unequal(one)]
    said += [f"- {name}: {failures(mine)}" for name, mine in found.items() if failures(mine)]
    return f"{CELLS[0].old} and {CELLS[0].new}:\n\n{markdown(heads, rows, 1)}\n\n" + "\n".join(said)


def _row(agent: str, found: dict[str, dict[int, Any]]) -> list[str]:
    mine = [one for cell in CELLS if cell.agent == agent for one in results(found.get(cell.name, {}))]
    absent = sum(cell.agent == agent and cell.name not in found for cell in CELLS)
    added = sum((Counter({name: one[name] for name in ("cells", "trained", "equal")}) for one in mine), Counter())
    only = [str(sum(len(one[name]) for one in mine)) for name in ("only_in_old", "only_in_new")]
    compared = f"{added['cells']:,}" + (f", of {absent} families {MISSING}" if absent else "")
    largest = max((one["largest_difference"] for one in mine), default=0.0)
    return [agent, compared, f"{added['trained']:,}", f"{added['equal']:,}", f"{largest:.1e}", *only]


def _unequal(one: dict[str, Any]) -> Iterator[str]:
    """Yield what is said of each cell that is not equal."""
    for row in one["unequal"]:
        parts = {name: value for name, value in row.items() if name not in ("cell", "largest_difference")}
        yield f"`{row['cell']}`: " + "; ".join(f"{name} {value}" for name, value in parts.items())


def plot(records: Sequence[Record]) -> None:
    """Return no picture: the table says it."""
