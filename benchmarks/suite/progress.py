"""How far the tasks have come and when they are expected to end: on a terminal, as lines, and in a log file."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType

from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

from benchmarks.suite.tasks import Done, Task


class Shown:
    """A context that shows tasks as they end; each is a line of the log, whose file grows.

    The expected end counts the seconds that the same cells took before, and for cells that never ran the mean of
    those that did; until one has ended nothing is expected.

    Args:
        log: the file.
        tasks: all of them.
        jobs: how many run at a time; None: it is known only by how fast they end.
        before: seconds of a seed, by the task's name.
    """

    def __init__(self, log: Path, tasks: Sequence[Task], jobs: int | None, before: Mapping[str, float]) -> None:
        log.parent.mkdir(parents=True, exist_ok=True)
        self.file = log.open("a")
        self.left, self.count, self.jobs = list(tasks), len(tasks), jobs
        self.failed, self.worked = 0, 0.0
        self.before, self.took = before, [before[task.name] for task in tasks if task.name in before]
        self.terminal = get_console().is_terminal
        columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        self.bar = Progress(*columns, TextColumn("{task.fields[end]}"), disable=not self.terminal)
        self.row = self.bar.add_task("benchmarks", total=self.count, end="")

    def __enter__(self) -> Shown:
        self.began = time.monotonic()
        self.bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.stop()
        took = timedelta(seconds=round(time.monotonic() - self.began))
        ended = f"ended by {kind.__name__}, " if kind else ""
        failed = f", {self.failed} failed" if self.failed else ""
        left = f", {len(self.left)} left" if self.left else ""
        self.say(f"{ended}{self.count - len(self.left)} of {self.count} tasks in {took}{failed}{left}")
        self.file.close()

    def say(self, line: str, trace: str = "") -> None:
        """Write a line, and in the log what belongs to it."""
        now = datetime.now().isoformat(" ", "seconds")
        self.file.write(f"{now}  {line}\n{trace}")
        self.file.flush()
        self.bar.console.print(
            line if self.terminal else f"{now}  {line}", markup=False, highlight=False, soft_wrap=True
        )

    def ended(self, done: Done) -> None:
        """Say that a task has ended, and how."""
        self.left.remove(done.task)
        errors = list(dict.fromkeys(record.error for record in done.records if record.error))
        self.failed += bool(errors)
        seconds = [record.seconds for record in done.records if record.seconds is not None]
        self.took += seconds
        self.worked += sum(seconds)
        seeds = ", ".join(map(str, done.task.seeds))
        how = f"failed: {'; '.join(errors)}" if errors else f"{sum(seconds):.1f} s"
        end = self.expected_end()
        place = f"{self.count - len(self.left)} of {self.count}"
        self.say(f"{place}  {done.task.name}, seed {seeds}: {how}{end and f'  ({end})'}", "".join(done.traces))
        self.bar.update(self.row, completed=self.count - len(self.left), end=end)

    def expected_end(self) -> str:
        """Return when the rest is expected to end, for people; "" where nothing is left, or known."""
        if not self.left or not self.took:
            return ""
        mean = sum(self.took) / len(self.took)
        work = sum(len(task.seeds) * self.before.get(task.name, mean) for task in self.left)
        at_a_time = self.jobs or max(1.0, self.worked / (time.monotonic() - self.began))
        end = datetime.now() + timedelta(seconds=work / at_a_time)
        return f"expected end {end:%a %H:%M}"
