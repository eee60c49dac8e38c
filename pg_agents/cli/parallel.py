"""Jobs in several processes, by joblib; on Ctrl-C and SIGTERM those that run end in order, and no other begins."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from pg_agents.cli.importing import typed_now
from pg_agents.errors import UserError
from pg_agents.spaces.packages import import_named
from pg_agents.training.signals import ENDING, Signals

Job = TypeVar("Job")
Result = TypeVar("Result")

SECONDS = 0.2  # between two looks


def in_processes(
    work: Callable[[Job], Result],
    jobs: Sequence[Job],
    processes: int,
    show: Callable[[], None],
    *,
    each: Callable[[Result], None] = lambda result: None,
    apart: bool = False,
) -> list[Result]:
    """Return `[work(job) for job in jobs]`, computed in `processes` new processes.

    Args:
        work: a function defined in a module. KeyboardInterrupt is raised in it when it is to end; what trains
            (`pg_agents.train`) ends in order then.
        jobs: the arguments of `work`, which can be pickled.
        processes: number of processes; 1: the work is done in this one, unless it is `apart`.
        show: shows how far the jobs have come; called in a thread, several times a second.
        each: called with each result when it is there, in this process and thread.
        apart: whether one job at a time is in a process of its own, too, whose death is not that of this one.

    Raises:
        Exception: the error of the first job that fails, once the others that run have ended.
        KeyboardInterrupt: after Ctrl-C, once the jobs that run have ended; a second one ends them at once.
        Terminated: the same for SIGTERM.
        UserError: a process was killed; the others have been, too.
    """
    results: list[Any] = [None] * len(jobs)
    failed = None
    with TemporaryDirectory(prefix="pg_agents-") as folder, Signals(True, str) as signals:
        stop = Path(folder) / "stop"  # all jobs end once it exists
        with _watched(signals, stop, show):
            try:
                for place, result, error in _started(work, jobs, processes, stop, apart):
                    results[place] = result
                    failed = failed or error
                    if error is None:
                        each(result)
            except BrokenProcessPool as error:
                raise UserError(
                    "jobs: a process has died, perhaps of too little memory, which ends the others; use fewer"
                ) from error
            if failed is not None:
                raise failed
    return results


def _started(work: Callable[[Job], Any], jobs: Sequence[Job], processes: int, stop: Path, apart: bool) -> Iterator[Any]:
    """Begin the first jobs; yield (place, result, error) of each that ends, and begin the next unless `stop` exists."""
    from joblib import Parallel, delayed  # here: most commands do not need it

    def tasks() -> Iterator[Any]:
        for place, job in enumerate(jobs):
            if stop.exists():
                return
            yield delayed(_do)(work, place, job, stop, os.getpid(), tuple(typed_now))

    how: dict[str, Any] = {"return_as": "generator_unordered", "pre_dispatch": processes, "batch_size": 1}
    with _ignored():  # so is Ctrl-C by the new processes, while they import
        # Joblib does the work of one process in this one; of two processes, one waits.
        return Parallel(max(processes, 1 + apart), backend="loky", **how)(tasks())


@contextmanager
def _ignored() -> Iterator[None]:
    """A context in which the signals that end this process are ignored; a new process goes on ignoring them."""
    numbers = ENDING if threading.current_thread() is threading.main_thread() else ()
    former = {number: signal.signal(number, signal.SIG_IGN) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


@contextmanager
def _looking(look: Callable[[], bool | None]) -> Iterator[None]:
    """A context in which a thread calls `look` several times a second, until that returns True."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(SECONDS):
            if look():
                return

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _watched(signals: Signals, stop: Path, show: Callable[[], None]) -> Iterator[None]:
    """A context in which it is shown how far the jobs have come, and in which they end after a signal."""

    def look() -> None:
        show()
        if signals.number is not None:
            stop.touch()
            signals.ends()  # waiting takes as long as the jobs take to end in order

    try:
        with _looking(look):
            yield
    finally:
        show()


# -- in a worker -------------------------------------------------------------------------------------------------------
def _do(
    work: Callable[[Job], Result], place: int, job: Job, stop: Path, parent: int, imports: Sequence[str] = ()
) -> tuple[int, Any, Any]:
    """Return a job's place, and its result or its error, which ends the others."""
    alone = os.getpid() != parent
    if alone:
        _listen_to_stop_alone()
    try:
        for named in imports if alone else ():
            import_named(named)
        with _ending(stop, parent if alone else None):
            return place, work(job), None
    except BaseException as error:
        with suppress(OSError):
            stop.touch()  # here, as the next job begins before the first process has this error
        if alone and os.getppid() != parent:
            os._exit(1)  # nobody waits for it, and the process would wait minutes for another job
        if alone and isinstance(error, Exception):
            error.add_note(traceback.format_exc())
        return place, None, error


def _listen_to_stop_alone() -> None:
    """Leave the session, to which a terminal sends Ctrl-C, and ignore SIGTERM, which may be sent to all processes."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(os, "setsid") and os.getsid(0) != os.getpid():
        os.setsid()


def _interrupt() -> None:
    """Have SIGINT handled in the main thread, though it waits for something."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:  # Windows
        _thread.interrupt_main()


@contextmanager
def _ending(stop: Path, parent: int | None) -> Iterator[None]:
    """A context that a KeyboardInterrupt ends when `stop` exists, or when the process `parent` has ended."""

    def look() -> bool:
        over = stop.exists() or (parent is not None and os.getppid() != parent)
        if over:
            _interrupt()
        return over

    if parent is not None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with _looking(look):
            yield
    finally:
        if parent is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
