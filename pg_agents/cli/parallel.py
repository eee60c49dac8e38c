"""Jobs in several processes, with reports of their progress and an orderly end on Ctrl-C."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")
Report = Callable[[str, float], None]  # takes a job's name and the number of steps done
Work = Callable[[Job, Report], Result]

_worker: dict[str, Any] = {"busy": False}  # in a worker: its queue and event to the first process, and if it is busy


def in_processes(work: Work[Job, Result], jobs: Sequence[Job], report: Report, processes: int) -> list[Result]:
    """Return `[work(job, report) for job in jobs]`, computed in `processes` new processes.

    Args:
        work: a function defined in a module (so that it can be pickled); it calls its second argument often, and stops
            if that raises.
        jobs: the arguments of `work`, which can be pickled.
        report: called in this process.
        processes: number of processes; 1: the work is done in this one.

    Raises:
        Exception: the error of the first job that fails; KeyboardInterrupt after the running jobs have been stopped.
    """
    if processes == 1:
        return [work(job, report) for job in jobs]
    context = multiprocessing.get_context("spawn")
    queue, stop = context.SimpleQueue(), context.Event()
    with ProcessPoolExecutor(processes, context, _start, (queue, stop)) as pool:
        futures: list[Future[Result]] = [pool.submit(_do, work, job) for job in jobs]
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=0.1, return_when=FIRST_COMPLETED)
                while not queue.empty():
                    report(*queue.get())
                for future in done:
                    future.result()  # raises the job's error, without waiting for the others
        finally:
            if waiting:
                stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
    return [future.result() for future in futures]


# -- in a worker -------------------------------------------------------------------------------------------------------
def _start(queue: Any, stop: Any) -> None:  # noqa: ANN401 - multiprocessing's types depend on the context
    _worker.update(queue=queue, stop=stop)
    signal.signal(signal.SIGINT, _interrupt)


def _interrupt(*_: object) -> None:
    """Stop the running job, as Ctrl-C does in the first process, and begin no other job."""
    _worker["stop"].set()
    if _worker["busy"]:
        raise KeyboardInterrupt


def _do(work: Work[Job, Result], job: Job) -> Result:
    _worker["busy"] = True
    try:
        if _worker["stop"].is_set():
            raise KeyboardInterrupt
        return work(job, _report)
    finally:
        _worker["busy"] = False


def _report(name: str, done: float) -> None:
    if _worker["stop"].is_set():
        raise KeyboardInterrupt
    _worker["queue"].put((name, done))
