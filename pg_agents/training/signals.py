"""SIGTERM and Ctrl-C end a run in order: after the step that it takes, or after five seconds in the middle of it."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pg_agents.errors import Terminated

PATIENCE = 5.0  # seconds that the step that runs, and its checkpoint, may take after a signal
AGAIN = 1.0  # between further attempts to end it: what runs may swallow the first
ENDING = (signal.SIGINT, signal.SIGTERM)


class Stopping(BaseException):
    """Ends what a run does; no `except Exception` of an environment catches it."""


class Signals:
    """A context in which SIGINT and SIGTERM end a run; at its end they are handled as before.

    The first one sets `number`, and the run ends itself after its step. If it has not called `ends` within 5 seconds,
    `Stopping` is raised in it, wherever Python's interpreter is (code in C is waited for). A second signal is handled
    as before the context, at once, and sets `at_once`: nothing more is to be saved. Whatever error ends the context
    after a signal becomes KeyboardInterrupt or `Terminated`. Outside the main thread, and for signals that are
    ignored, the context does nothing.

    A signal may come while an earlier one is handled, in the middle of any line of it. So nothing here is done under a
    lock that a handler waits for: an event being set, or a thread being started by `threading`, holds one, and the only
    thread that could give it back would wait for it.

    Args:
        heeded: whether it does anything.
        said: returns the message of the error.
    """

    def __init__(self, heeded: bool, said: Callable[[], str]) -> None:
        self.heeded, self.said = heeded, said
        self.number: int | None = None
        self.at_once = False
        self.former: dict[int, Any] = {}
        self.over = self.late = False
        self.ending, self.hurrying = _taken(), _thread.allocate_lock()  # given back by `ends`, and by `_hurry`

    @property
    def name(self) -> str | None:
        """The signal's name; None: there was none."""
        return None if self.number is None else signal.Signals(self.number).name

    def ends(self) -> None:
        """Let what follows take its time."""
        self.over = True
        with suppress(RuntimeError):  # it has been given back before
            self.ending.release()

    def __enter__(self) -> Signals:
        if self.heeded and threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if (former := signal.getsignal(number)) not in (None, signal.SIG_IGN):
                    self.former[number] = former
                    signal.signal(number, self._heed)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.ends()
        with self.hurrying:
            self._restore()
        if self.number is not None:
            cause = None if isinstance(error, Stopping) else error
            raise (KeyboardInterrupt if self.number == signal.SIGINT else Terminated)(self.said()) from cause

    def _restore(self) -> None:
        for number, former in self.former.items():
            signal.signal(number, former)

    def _heed(self, number: int, frame: object) -> None:
        if self.late:
            self.late = False
            if not self.over:
                raise Stopping
        elif self.number is None:
            self.number = number
            self.hurrying = _taken()
            _thread.start_new_thread(self._hurry, (number,))
        else:
            self.at_once = True
            self.ends()
            self._restore()
            signal.raise_signal(number)

    def _hurry(self, number: int) -> None:
        """Have `_heed` called again in the main thread, which interrupts what waits there, until the run ends."""
        wait = PATIENCE
        while not self.ending.acquire(timeout=wait) and hasattr(signal, "pthread_kill"):  # Windows has none
            self.late = True
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            wait = AGAIN
        self.hurrying.release()


def _taken() -> _thread.LockType:
    """Return a lock that somebody waits for until it is released."""
    lock = _thread.allocate_lock()
    lock.acquire()
    return lock
