"""Ends calls of environments that do not return: by an alarm, or by ending the processes that they wait for."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, VectorEnv

from pg_agents.checks import finite_number

WORKERS = 120.0  # seconds, unless somebody says how many: a false alarm costs a run, a late one a minute
LONGEST_TICK = 1.0  # seconds between two looks
ALARM: Any = getattr(signal, "SIGALRM", None)  # None on Windows

Call = Callable[..., Any]


class OutOfTime(BaseException):  # noqa: N818 - an environment's `except Exception` must not catch it
    """A call of an environment took longer than it may."""


class TimeLimit:
    """A context in which `call` raises OutOfTime in calls that do not return in time; it costs calls nothing.

    In the main thread a timer rings every second, or four times in `seconds`, and looks whether a call is still the one
    that it saw before. It interrupts what runs in Python or waits for workers. Another alarm that was set keeps its
    time and its handler. In other threads, and on Windows, the `workers` that a call waits for are killed. What cannot
    be interrupted: code in C that does not return to the interpreter, and, outside the main thread, this process. After
    a call that did not return, all others raise OutOfTime: late answers of workers would be taken for theirs.

    Args:
        seconds: how long a call may take; None: as long as it likes, and the context does nothing.
        workers: the environment whose processes calls wait for, if there is one.
    """

    def __init__(self, seconds: float | None, workers: AsyncVectorEnv | None = None) -> None:
        self.seconds, self.workers = seconds, workers
        self.armed = self.expired = False
        self.calls = 0  # odd while one runs
        self.seen, self.since = 0, 0.0

    def call(self, function: Call, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return function(*args, **kwargs).

        Raises:
            OutOfTime: it did not return in time, or an earlier call did not.
        """
        if self.expired:
            raise OutOfTime
        if self.seconds is not None and self.workers is not None and not self.armed:
            return self._watched(self.workers, self.seconds, function, *args, **kwargs)
        self.calls += 1
        try:
            return function(*args, **kwargs)
        finally:
            self.calls += 1

    def __enter__(self) -> TimeLimit:
        if self.seconds is not None and alarms_work():
            tick = min(self.seconds / 4, LONGEST_TICK)
            self.handler, begun = signal.signal(ALARM, self._ring), time.monotonic()
            delay, self.interval = signal.setitimer(signal.ITIMER_REAL, tick, tick)
            self.due = begun + delay if delay else math.inf  # when the alarm rings that was set before
            self.armed = True
        return self

    def __exit__(self, *_: object) -> None:
        if self.armed:
            self.armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(ALARM, signal.SIG_DFL if self.handler is None else self.handler)
            if self.due < math.inf:
                signal.setitimer(signal.ITIMER_REAL, max(self.due - time.monotonic(), 1e-6), self.interval)

    def _ring(self, number: int, frame: Any) -> None:  # noqa: ANN401
        now = time.monotonic()
        if now >= self.due and callable(self.handler):
            self.due = now + self.interval if self.interval else math.inf
            self.handler(number, frame)
        if self.calls != self.seen:
            self.seen, self.since = self.calls, now
        elif self.armed and self.calls % 2 and self.seconds is not None and now - self.since >= self.seconds:
            self.expired = True
            raise OutOfTime

    def _watched(self, core: AsyncVectorEnv, seconds: float, function: Call, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Return function(*args, **kwargs); after some seconds a thread kills the workers, and OutOfTime is raised."""

        def end() -> None:
            self.expired = True
            for process in core.processes:
                process.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            return function(*args, **kwargs)
        except (EOFError, ConnectionError) as error:
            if self.expired:
                raise OutOfTime from error
            raise
        finally:
            timer.cancel()


def time_limit(env: gym.Env | VectorEnv, step_timeout: float | None) -> TimeLimit:
    """Return the limit of every call of `env`.

    Args:
        env: single or vector.
        step_timeout: seconds for one call, of all environments together; None: 120 for an AsyncVectorEnv, no limit in
            one's own process; math.inf: no limit.

    Raises:
        ValueError: it is not a number above 0; or calls are to be limited in this process, where no alarm can be set.
    """
    workers = env.unwrapped if isinstance(env.unwrapped, AsyncVectorEnv) else None
    seconds = checked_timeout(step_timeout)
    if workers is None and seconds is not None and not alarms_work():
        raise ValueError(
            f"step_timeout: {seconds:g} seconds cannot be kept here: environments in one's own process are interrupted "
            "by alarms, which only the main thread can set, and not on Windows; make an AsyncVectorEnv"
        )
    return TimeLimit(WORKERS if workers is not None and step_timeout is None else seconds, workers)


def checked_timeout(step_timeout: float | None) -> float | None:
    """Return `step_timeout` in seconds, None for math.inf.

    Raises:
        ValueError: it is neither None nor a number above 0.
    """
    if step_timeout is None or step_timeout == math.inf:
        return None
    seconds = finite_number("step_timeout", step_timeout)
    if seconds <= 0:
        raise ValueError(f"step_timeout must be a number of seconds above 0, got {step_timeout!r}")
    return seconds


def alarms_work() -> bool:
    """Return whether an alarm can be set here: in the main thread, and not on Windows."""
    return ALARM is not None and threading.current_thread() is threading.main_thread()
