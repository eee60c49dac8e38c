"""How far several seeds, each in a process of its own, have come: a bar on a terminal, elsewhere lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pg_agents.cli.seed_process import Seed
from pg_agents.training.progress_bar import is_terminal
from pg_agents.training.progress_lines import Due, duration, line
from pg_agents.training.run_files import newest_row

RETURN = "rollout/ep_rew_mean"


@contextmanager
def bar(work: Sequence[Seed], file: TextIO | None) -> Iterator[Callable[[], None]]:
    """Show how far the seeds have come, in `file` if that is not None; yield what updates it."""
    shown = Shown(work, file or sys.stdout)
    if file is None:
        yield lambda: None
    elif not is_terminal(file):
        yield shown.lines
    else:
        parts = (
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}"),
        )
        with Progress(*parts, console=Console(file=file), transient=True) as progress:
            task = progress.add_task("", total=1.0, said="")
            yield lambda: progress.update(task, completed=shown.share(), said=shown.said())


class Shown:
    """What there is to say of the seeds, read from their folders.

    Args:
        work: the seeds.
        file: where lines are written.
    """

    def __init__(self, work: Sequence[Seed], file: TextIO) -> None:
        self.work, self.file, self.due = work, file, Due()
        self.done: set[int] = set()
        self.returns: list[float] = []
        self.first: tuple[float, float] | None = None  # when a first line was written, and the share then

    def share(self) -> float:
        """Return the share of all steps that is taken, and keep who has finished and what the others return."""
        steps, self.returns = 0, []
        for job in self.work:
            total = job.config.total_steps
            if not self.done >= {*job.seeds} and job.has_finished:
                self.done |= {*job.seeds}
            row = newest_row(job.run_dir)
            steps += total if self.done >= {*job.seeds} else min(int(row.get("step", 0)), total)
            if isinstance(value := row.get(RETURN), int | float):
                self.returns += [value] * len(job.seeds)  # of a batch the mean
        return steps / sum(job.config.total_steps for job in self.work)

    def said(self) -> str:
        """Return how many have finished, and the mean return, as text."""
        mean = f", mean return {np.mean(self.returns):.4g}" if self.returns else ""
        return f"{len(self.done)} of {sum(len(job.seeds) for job in self.work)} seeds{mean}"

    def lines(self) -> None:
        """Write a line, if it is due."""
        if not self.due.now():
            return
        share = self.share()
        texts = {"steps": f"{100 * share:.0f} %", "finished": self.said()}
        now = self.due.seen
        began, before = self.first = self.first or (now, share)
        if before < share < 1:
            texts["left"] = duration((now - began) * (1 - share) / (share - before))
        print(line(texts), file=self.file, flush=True)
