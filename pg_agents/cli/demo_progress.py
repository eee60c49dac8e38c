"""How far the demo has come: a bar for each run on a terminal, elsewhere lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pg_agents.cli.demo_tasks import Job
from pg_agents.training.progress_bar import is_terminal
from pg_agents.training.progress_lines import Due, duration, line


@contextmanager
def shown(jobs: list[Job], quiet: bool) -> Iterator[Callable[[], None]]:
    """Show how far the jobs have come, on a terminal a bar for each, elsewhere lines; yield what updates it."""
    if quiet:
        yield lambda: None
    elif not is_terminal(sys.stdout):
        yield _lines(jobs)
    else:
        head = TextColumn("{task.description}")
        with Progress(head, BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn()) as progress:
            names = [f"{job.agent:20}{job.task.env}" for job in jobs]
            bars = [
                progress.add_task(name, total=job.total_steps, start=False)
                for name, job in zip(names, jobs, strict=True)
            ]

            def show() -> None:
                for bar, job in zip(bars, jobs, strict=True):
                    if job.run_dir.exists():
                        progress.start_task(bar)
                        progress.update(bar, completed=job.steps())

            yield show


def _lines(jobs: list[Job]) -> Callable[[], None]:
    """Return what prints a line about the jobs, if it is due."""
    due = Due()

    def show() -> None:
        if due.now():
            steps, total = [job.steps() for job in jobs], sum(job.total_steps for job in jobs)
            ended = sum(taken == job.total_steps for taken, job in zip(steps, jobs, strict=True))
            texts = {"steps": f"{100 * sum(steps) / total:.0f} %", "finished": f"{ended} of {len(jobs)} runs"}
            print(line(texts | {"time": duration(due.seen - due.began)}), flush=True)

    return show
