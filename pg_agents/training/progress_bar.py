"""How far a run has come: a bar and a table on a terminal, and elsewhere a line every so often."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from pg_agents.shown import printable
from pg_agents.training.appended import Value
from pg_agents.training.known import KnownReturns
from pg_agents.training.progress_lines import Due, Facts, line
from pg_agents.training.run import Run


class ProgressBar:
    """Shows how far a run has come; it is a context.

    On a terminal it is a bar above a table, which disappear at the end. In a file, a pipe and a notebook it is a line
    after 5 seconds, every 30 seconds, ever more rarely in long runs, and at the end.

    Args:
        file: where it is shown; None: nowhere.
        total_steps: steps at which the bar is full.
        known: returns the returns that are known of the environment; called once, if they are shown.
    """

    def __init__(self, file: TextIO | None, total_steps: int, known: Callable[[], KnownReturns]) -> None:
        self.file, self.total, self.known, self.due = file, total_steps, known, Due()
        self.row: dict[str, Value] = {}
        self.facts: Facts | None = None
        console = Console(file=file)
        self.live = Live(console=console, transient=True) if is_terminal(file) else None
        self.bar = Progress(BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console)
        self.task = self.bar.add_task("", total=total_steps)

    def __enter__(self) -> ProgressBar:
        self.due = Due()
        if self.live is not None:
            self.live.start()
            self.live.update(self.bar)
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            self.live.stop()

    def show(self, run: Run, row: Mapping[str, Value]) -> None:
        """Show how far the run has come after an update, with the metrics that are new, if that is due."""
        if self.file is None:
            return
        self.row |= row
        if self.live is None:
            if self.due.now() or run.over:
                self.write(line(self.texts(run)))
        elif row:
            self.bar.update(self.task, completed=min(run.steps, self.total))
            self.live.update(Group(self.bar, table(self.texts(run))))

    def texts(self, run: Run) -> dict[str, str]:
        """Return what there is to say of the run, by what it is."""
        self.facts = self.facts or Facts(self.known(), self.row)
        return self.facts.texts(run)

    def write(self, text: str) -> None:
        """Write a line at once; where it cannot be written nothing is shown any more, and the run goes on."""
        if self.file is not None:
            try:
                print(printable(text), file=self.file, flush=True)
            except (OSError, ValueError):  # the reader has gone, the disk is full, the file is closed
                self.file = None


def is_terminal(file: TextIO | None) -> bool:
    """Return whether a file is a terminal on which something can move; a notebook is none."""
    console = Console(file=file, quiet=True)
    return file is not None and console.is_terminal and not console.is_dumb_terminal


def table(texts: Mapping[str, str]) -> Table:
    """Return what there is to say, but for what the bar shows, as a table."""
    made = Table.grid(padding=(0, 2))
    for name, text in texts.items():
        if name not in ("steps", "left"):
            made.add_row(Text(name), Text(text))
    return made


def stream(progress: bool | TextIO) -> TextIO | None:
    """Return where progress is shown: on standard output, in the stream that is given, or nowhere."""
    return (sys.stdout if progress else None) if isinstance(progress, bool) else progress
