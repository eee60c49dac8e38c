"""Tasks in processes of this machine, by joblib; a process that dies is its task's failure, not the suite's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool

from benchmarks.suite.records import Record
from benchmarks.suite.tasks import Done, Task, measure
from pg_agents.cli.parallel import in_processes
from pg_agents.errors import UserError

DIED = "ProcessDied: the process that measured has died, perhaps of too little memory"


def carry_out(
    tasks: Sequence[Task], jobs: int | None, each: Callable[[Done], None], show: Callable[[], None] = lambda: None
) -> None:
    """Measure tasks in `jobs` processes.

    A process that dies takes the others with it: what they did is done again, one task at a time, so that it is known
    which of them kills its process.

    Args:
        tasks: what is to be measured.
        jobs: the number of processes; None: one.
        each: called with what is done, as it comes.
        show: called several times a second, in a thread.

    Raises:
        KeyboardInterrupt, Terminated: a signal has ended it in order.
    """
    left, jobs = list(tasks), jobs or 1

    def finished(done: Done) -> None:
        left.remove(done.task)
        each(done)

    while left:
        try:
            in_processes(measure, list(left), jobs, show, each=finished, apart=True)
        except UserError as error:
            if not isinstance(error.__cause__, BrokenProcessPool):
                raise
            if jobs == 1:
                finished(died(left[0]))
                continue
            suspects = left[:jobs]  # tasks begin in their order, so many at a time
            carry_out(suspects, 1, finished, show)


def died(task: Task, error: str = DIED) -> Done:
    """Return the records of a task whose process has not lived to write them."""
    where = {"command": task.command, "commit": task.commit}
    return Done(task, tuple(Record(task.experiment, task.cell, seed, None, error, **where) for seed in task.seeds))
