"""Forks of a worker: each does one thing, and can be killed, crash or hang without the worker."""

from __future__ import annotations

import json
import os
import random
import resource
import select
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Begin = Callable[[], None]
PATIENCE = 300.0  # seconds after which a fork hangs
MORE_MEMORY = 4 << 30  # bytes that a fork may take beyond its worker's: a damaged size must not take all there is


class Ended(NamedTuple):
    """How a fork ended.

    Attributes:
        said: what its work returned; None where it did not come to that.
        error: the type of the exception that ended it, else None.
        code: its exit status, minus the number of the signal that ended it.
        hung: whether it was killed for taking too long.
    """

    said: str | None
    error: str | None
    code: int
    hung: bool = False

    def trouble(self) -> str:
        """Return why there is no result, for a table."""
        if self.hung:
            return "hung"
        if self.error is not None:
            return f"refused: {self.error}"
        return f"crashed: {signal.Signals(-self.code).name}" if self.code < 0 else f"exited: {self.code}"


class Fork:
    """A fork that does `work(begin)`; `begin()`, which the work may call, tells that it has come so far."""

    def __init__(self, work: Callable[[Begin], str | None]) -> None:
        self.pipe, end = os.pipe()
        self.id = os.fork()
        if not self.id:
            os.close(self.pipe)
            _be(work, end)
        os.close(end)
        self.read = b""

    def wait_for_begin(self) -> bool:
        """Return whether `begin()` was called, once it was or the fork has ended."""
        return self._line(PATIENCE) == "begun"

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.id, number)

    def join(self, seconds: float = PATIENCE) -> Ended:
        """Wait until the fork ends, kill it after `seconds`, and return how it ended."""
        said: dict[str, str | None] = {"said": None, "error": None}
        deadline = time.monotonic() + seconds
        while line := self._line(deadline - time.monotonic()):
            said |= json.loads(line) if line != "begun" else {}
        hung = line is None
        if hung:
            self.send(signal.SIGKILL)
        os.close(self.pipe)
        return Ended(**said, code=os.waitstatus_to_exitcode(os.waitpid(self.id, 0)[1]), hung=hung)

    def _line(self, seconds: float) -> str | None:
        """Return the next line that the fork writes, "" at its end, None if that takes longer."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self.read:
            if not select.select([self.pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            more = os.read(self.pipe, 1 << 16)
            if not more:
                return ""
            self.read += more
        line, _, self.read = self.read.partition(b"\n")
        return line.decode()


def _be(work: Callable[[Begin], str | None], end: int) -> None:
    """Be the fork, until it ends."""

    def tell(line: str) -> None:
        os.write(end, f"{line}\n".encode())

    code = 1
    try:
        quiet = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(quiet, number)
        with open("/proc/self/statm") as file:
            held = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MORE_MEMORY,) * 2)
        random.seed()  # as in a process of its own
        np.random.seed()
        tell(json.dumps({"said": work(lambda: tell("begun"))}))
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except KeyboardInterrupt:
        code = 130
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the result
        tell(json.dumps({"error": type(error).__name__}))
    finally:
        os._exit(code)
