"""Do other libraries compute the same updates as ours from the same weights and the same rollouts?

Our agent collects three rollouts and learns from each; weights and rollouts are handed to the peer, whose own `learn`
(Stable-Baselines3, sb3-contrib) or `train` (TRL) runs from collecting to the last gradient step in its own virtual
environment (`python -m benchmarks peers install`; PG_AGENTS_PEERS names another folder). What it would draw is
replaced by what was recorded: actions or texts, and the order of minibatches. Advantages, gradients of every step (as
the optimizer sees them; TRPO's are the surrogate's) and weights are then held side by side.

Of the seeds the worst stands in the table, where sides should differ the least. Sides agree where no difference is
above 5e-4 of the largest number in its own array (of one parameter's weights: of the way they have moved), which is the
last column. Stable-Baselines3 and sb3-contrib compute in float32, TRL in float64, its scores and advantages in float32.
In the cells "differs" no argument makes the sides agree: a convention of one side alone. In the controls one argument
is another on one side, which the table has to notice.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.correctness._parity.cells import CELLS, Cell
from benchmarks.correctness._parity.compare import DIFFERENCES, LIMIT, compare
from benchmarks.suite.records import Record
from benchmarks.suite.tables import by_cell, cell_rows, markdown, results

__all__ = ["CELLS", "SEEDS", "is_right", "numbers", "over_seeds", "plot", "run", "table"]

SEEDS = (0, 1)
EXTRAS = ("transformers",)
HEADS = ("what", "peer", *DIFFERENCES, "weights moved", "beside its own array")


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return the largest differences between the peer's update and ours, and how large the compared numbers are."""
    return compare(cell, seed)


def is_right(cell: Cell, result: dict[str, Any]) -> bool:
    """Return whether sides agree that should, and differ that should."""
    worst = max(result["parts"].values())
    return worst <= LIMIT if cell.kind == "same" else worst > LIMIT


def over_seeds(cell: Cell, each: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return one result of a cell's seeds: the worst where sides should agree, the least where they should not."""
    pick = max if cell.kind == "same" else min
    found = {of: {what: pick(one[of][what] for one in each) for what in each[0][of]} for of in ("differences", "parts")}
    return found | {"moved": min(one["moved"] for one in each), "right": all(is_right(cell, one) for one in each)}


def table(records: Sequence[Record]) -> dict[str, str]:
    """Return a table of the cells that should agree, of those that differ by a convention, and of the controls."""
    found = {}
    for kind in ("same", "differs", "control"):
        rows = [row for cell in CELLS if cell.kind == kind for row in _rows(cell, records)]
        heads = (*HEADS, "cause") if kind == "differs" else HEADS
        found[kind] = markdown(heads, rows, None if kind == "differs" else 2)
    return found


def _rows(cell: Cell, records: Sequence[Record]) -> list[list[str]]:
    def measured(each: list[dict[str, Any]]) -> Iterator[list[str]]:
        one = over_seeds(cell, each)
        values = [*(one["differences"][what] for what in DIFFERENCES), one["moved"], max(one["parts"].values())]
        mark = "" if one["right"] else " **not as it should be**"
        yield [cell.peer + mark, *(f"{value:.1e}" for value in values), *filter(None, [cell.cause])]

    return cell_rows([cell], records, measured)


def numbers(records: Sequence[Record]) -> dict[str, str]:
    """Return how far weights have moved, and the most by which they differ where they should not, by peer."""
    found = by_cell(records)
    same = {cell.name: cell for cell in CELLS if cell.kind == "same" and results(found.get(cell.name, {}))}
    each = {name: over_seeds(cell, results(found[name])) for name, cell in same.items()}
    moved = [one["moved"] for one in each.values()]
    apart: dict[str, float] = {}
    for name, one in each.items():
        peer = same[name].peer
        apart[peer] = max(apart.get(peer, 0.0), one["differences"]["weights"])
    versions = {name: version for mine in found.values() for one in results(mine) for name, version in _peers(one)}
    said = {f"apart-{peer}": at_most(value) for peer, value in apart.items()}
    said |= {"moved-least": f"{min(moved):.1g}", "moved-most": f"{max(moved):.2g}"} if moved else {}
    said["limit"] = f"{LIMIT:g}"
    return said | {"versions": ", ".join(f"{name} {version}" for name, version in versions.items())}


def at_most(value: float) -> str:
    """Return a positive number with one digit, rounded up."""
    digits, power = f"{value:e}".split("e")
    return f"{float(f'{math.ceil(float(digits))}e{power}'):.0e}".replace("e-0", "e-")


def _peers(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(name, version) for name, version in result["versions"].items() if name != "ours"]


def plot(records: Sequence[Record]) -> None:
    """Return no picture: the tables say it."""
