"""Judges the records of cells, and writes them as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

RolloutBuilder = dict[str, Any]
DIFFERENCES = ("advantages", "gradients", "weights")
LIMIT = 5e-4  # beside its own array, a larger difference is not of rounding; n − 1 of 256 steps makes one of 2e-3
PRECISION = {
    "Stable-Baselines3": "float32",
    "sb3-contrib": "float32",
    "TRL": "float64, its scores and advantages float32",
}
HEADS = {
    "same": ("The same", "By arguments, where defaults differ."),
    "differs": ("What no argument makes the same", "A convention of one side alone; its cause stands beside it."),
    "control": ("Controls", "One argument is another on one side, which the table has to notice."),
}


def is_right(record: RolloutBuilder) -> bool:
    """Return whether sides agree that should, and differ that should."""
    worst = max(record["parts"].values())
    return worst <= LIMIT if record["kind"] == "same" else worst > LIMIT


def over_seeds(records: Sequence[RolloutBuilder]) -> RolloutBuilder:
    """Return one record of a cell's seeds: the worst where sides should agree, the least where they should not."""
    pick = max if records[0]["kind"] == "same" else min
    found = {
        of: {what: pick(r[of][what] for r in records) for what in records[0][of]} for of in ("differences", "parts")
    }
    moved = min(record["moved"] for record in records)
    return records[0] | found | {"moved": moved, "right": all(map(is_right, records))}


def rows(records: Iterable[RolloutBuilder]) -> list[RolloutBuilder]:
    """Return one record a cell, in the order in which they come."""
    cells: dict[tuple[str, str], list[RolloutBuilder]] = {}
    for record in records:
        cells.setdefault((record["peer"], record["name"]), []).append(record)
    return [over_seeds(each) for each in cells.values()]


def table(records: Sequence[RolloutBuilder]) -> str:
    """Return the tables as text."""
    versions = {name: version for record in records for name, version in record["versions"].items() if name != "ours"}
    seeds = sorted({record["seed"] for record in records})
    lines = [
        "# Parity",
        "",
        "The same weights and the same rollouts, learned from by the peer's own `learn` or `train` and by ours, three "
        "times: the largest difference of advantages, of gradients (of every step, as the optimizer sees them; TRPO's "
        "are the surrogate's) and of weights, and how far these have moved. Of seeds "
        f"{', '.join(map(str, seeds))} the worst. "
        "`python -m benchmarks parity`.",
        "",
        f"{', '.join(f'{name} {version}' for name, version in versions.items())}. Precision: "
        + "; ".join(f"{peer}, {precision}" for peer, precision in PRECISION.items())
        + f". Sides agree where no difference is above {LIMIT:g} of the largest number in its own array (of one "
        "parameter's weights: of the way they have moved), which is the last column.",
    ]
    found = rows(records)
    for kind, (head, text) in HEADS.items():
        chosen = [row for row in found if row["kind"] == kind]
        if chosen:
            lines += ["", f"## {head}", "", text, "", *_lines(chosen, cause=kind == "differs")]
    return "\n".join(lines) + "\n"


def _lines(chosen: Sequence[RolloutBuilder], *, cause: bool) -> list[str]:
    heads = ["what", "peer", *DIFFERENCES, "weights moved", "beside its own array"]
    lines = [heads + ["cause"] * cause, ["---"] * (len(heads) + cause)]
    for row in chosen:
        numbers = [row["differences"][what] for what in DIFFERENCES]
        numbers += [row["moved"], max(row["parts"].values())]
        mark = "" if row["right"] else " **not as it should be**"
        cells = [row["name"] + mark, row["peer"], *(f"{number:.1e}" for number in numbers)]
        lines.append(cells + [row["cause"]] * cause)
    return [f"| {' | '.join(cells)} |" for cells in lines]
