"""How far tuning has come: a bar in a terminal, and a line for each trial that has ended."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, Self

from rich import get_console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from pg_agents.shown import printable, shortened
from pg_agents.tuning.results import Row, best_of, rows_of
from pg_agents.tuning.space import SEARCH
from pg_agents.tuning.study import Budget

SECONDS = 2.0  # between two looks at the trials
CHANGED = 3  # options that a line names, at most


class Progress:
    """Shows it, in a context; `show` is called several times a second.

    Args:
        study: whose trials are shown.
        budget: when it ends.
        quiet: nothing is shown.
    """

    def __init__(self, study: Any, budget: Budget, quiet: bool) -> None:  # noqa: ANN401
        self.study, self.budget, self.quiet = study, budget, quiet
        self.start = self.looked = time.time()
        self.ended = {row["trial"] for row in rows_of(study) if row["state"] != "running"}
        self.before = len(self.ended)
        console = get_console()
        columns = BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TextColumn("{task.description}")
        self.bar = Bar(*columns, console=console, disable=quiet or not console.is_terminal, transient=True)
        self.task = self.bar.add_task("", total=1.0)

    def __enter__(self) -> Self:
        """Begin to show it."""
        self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        """Show what has ended last."""
        self.show(last=True)
        self.bar.stop()

    def show(self, *, last: bool = False) -> None:
        """Show what there is to show, if some time has passed."""
        now = time.time()
        if self.quiet or (now < self.looked + SECONDS and not last):
            return
        self.looked, rows = now, rows_of(self.study)
        best = best_of(rows)
        for row in rows:
            if row["state"] != "running" and row["trial"] not in self.ended:
                self.ended.add(row["trial"])
                line = line_of(row, rows, self.expected_end(now))
                self.bar.console.print(line, highlight=False, markup=False)
        described = _described(len(self.ended), best, self.expected_end(now))
        self.bar.update(self.task, completed=self.share(now), description=described)

    def share(self, now: float) -> float:
        """Return the share of the budget that is spent, by time or by trials, whichever is larger."""
        shares = [0.0]
        if self.budget.until is not None:
            shares.append((now - self.start) / (self.budget.until - self.start))
        if self.budget.trials is not None:
            shares.append(len(self.ended) / self.budget.trials)
        return min(1.0, max(shares))

    def expected_end(self, now: float) -> float | None:
        """Return when it is expected to end; None: nothing tells yet."""
        until, done = self.budget.until, len(self.ended) - self.before
        if self.budget.trials is None or not done:
            return until
        each = (now - self.start) / done
        expected = now + each * (max(0, self.budget.trials - len(self.ended)) + self.budget.last_runs)
        return expected if until is None else min(until, expected)


def line_of(row: Row, rows: Sequence[Row], end: float | None) -> str:
    """Return a line about a trial that has ended: its settings, its score, and the best of all rows."""
    origin = _changed(row, rows) if row["origin"] == SEARCH else f" ({row['origin']})"
    lowers = row["lower_ends"]
    what = {"complete": "", "pruned": " given up", "failed": " failed"}[row["state"]]
    value = f"{lowers[-1]:.4g}" if lowers and math.isfinite(lowers[-1]) else "–"
    return f"trial {row['trial']}{origin}: {value}{what}; {_described(None, best_of(rows), end)}"


def _changed(row: Row, rows: Sequence[Row]) -> str:
    """Return the earlier whole trial whose parameters are nearest, and what is other; "" where they are far."""
    earlier = [one for one in rows if one["score"] is not None and one["trial"] < row["trial"]]
    other = {one["trial"]: _other(row["parameters"], one["parameters"]) for one in earlier}
    nearest = min(earlier, key=lambda one: (len(other[one["trial"]]), -one["score"]), default=None)
    if nearest is None or len(other[nearest["trial"]]) > CHANGED:
        return ""
    changes = ", ".join(f"{name}={_value(value)}" for name, value in other[nearest["trial"]].items())
    return f" (as {nearest['trial']} but {changes})" if changes else f" (as {nearest['trial']})"


def _other(parameters: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name not in base or base[name] != value}


def _value(value: Any) -> str:  # noqa: ANN401
    return f"{value:.3g}" if isinstance(value, float) else shortened(printable(str(value)), 40)


def _described(count: int | None, best: Row | None, end: float | None) -> str:
    parts = [] if count is None else [f"{count} trials"]
    parts += ["none is whole" if best is None else f"best {best['score']:.4g} (trial {best['trial']})"]
    parts += [] if end is None else [f"ends {time.strftime('%H:%M:%S', time.localtime(end))}"]
    return ", ".join(parts)
