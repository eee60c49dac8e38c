"""A bar in the terminal that shows how far a run has come."""

from __future__ import annotations

from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from pg_agents.training.progress import RunProgress


class ProgressBar:
    """A bar that shows how far a run has come; it is a context, and disappears at its end.

    Args:
        visible: False: nothing is shown, as also where the output is no terminal.
        total_steps: steps at which the bar is full.
    """

    def __init__(self, visible: bool, total_steps: int) -> None:
        text = TextColumn("return {task.fields[mean]}  {task.fields[speed]} steps/s")
        console = get_console()
        visible = visible and (console.is_terminal or console.is_jupyter)  # elsewhere it would be an empty line
        columns = BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), text
        self.bar = Progress(*columns, console=console, disable=not visible, transient=True)
        self.total = total_steps
        self.task = self.bar.add_task("", total=total_steps, mean="-", speed="-")

    def __enter__(self) -> ProgressBar:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def show(self, run: RunProgress) -> None:
        """Show how far the run has come."""
        mean = "-" if run.mean_return is None else f"{run.mean_return:.2f}"
        speed = f"{run.steps / run.seconds:,.0f}"
        self.bar.update(self.task, completed=min(run.steps, self.total), mean=mean, speed=speed)
