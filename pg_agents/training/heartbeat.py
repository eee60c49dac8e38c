"""Every rank says once a second that it is there, so that one that hangs ends the run in seconds.

A killed process closes its connections, which the others notice at once; one that is stopped, swapped out or cut off
from the network keeps them open. So a thread of each process adds to the rank's counter in the group's store, whatever
its main thread does, and looks at the counters of the others.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import torch.distributed as dist

from pg_agents.errors import LostRankError

BEAT = 1.0  # seconds between two beats
SILENT = 20.0  # without one: on a busy machine threads are late by a few, and a torch call may hold Python's lock
GAP = 5.0  # who has not looked for longer was stopped or starved itself, perhaps together with the others
LATER = 5.0  # how long others wait for the rank that speaks: once one has ended, torchrun ends all
PATIENCE = 10.0  # until a process ends whose main thread has not taken notice, as it hangs in a call
ENDING = 60.0  # … and if it has: it may save the agent
OVER = -1  # the counter of a rank that has finished
CODE = 2  # with which a process ends that lost another


class Watch:
    """Which ranks are silent, by the clock of the process that watches them.

    Args:
        silent: seconds for which a silent rank's counter has stood still.
    """

    def __init__(self, silent: float) -> None:
        self.silent = silent
        self.changed: dict[int, tuple[int, float]] = {}  # rank → its counter, and when that was new
        self.looked: float | None = None

    def look(self, now: float, counters: Sequence[int]) -> list[int]:
        """Return the ranks that are silent.

        Args:
            now: seconds, by a clock that goes on while this process is stopped.
            counters: of each rank.
        """
        if self.looked is None or now - self.looked > GAP:
            self.changed.clear()  # nobody is blamed for the time in which this process did not look
        self.looked = now
        for rank, counter in enumerate(counters):
            if rank not in self.changed or self.changed[rank][0] != counter:
                self.changed[rank] = counter, now
        still = {rank: since for rank, (counter, since) in self.changed.items() if counter != OVER}
        return [rank for rank, since in still.items() if now - since > self.silent]


class Heartbeat:
    """One rank's beats, in a thread of their own.

    Attributes:
        silent: the ranks that are silent.
        lost: what the main thread is to be told of them.
        mute: whether another rank speaks of them.
        last_words: returns what is printed if this process has to end itself.

    Args:
        store: the group's, on a connection of its own.
        number: of this rank.
        count: of the ranks.
        say: prints a line.
    """

    def __init__(self, store: dist.Store, number: int, count: int, say: Callable[[str], None]) -> None:
        self.store, self.number, self.say = store, number, say
        self.keys = [str(rank) for rank in range(count)]
        self.silent: list[int] = []
        self.watch, self.lost, self.mute = Watch(SILENT), "", False
        self.last_words: Callable[[], str] = str
        self.over, self.deadline = threading.Event(), 0.0
        self.thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def join(self) -> None:
        """Make the counters, since the store waits for keys that it does not have."""
        for key in self.keys:
            self.store.add(key, 0)

    def beat(self, now: float) -> None:
        """Add to this rank's counter, and look who is silent."""
        self.store.add(self.keys[self.number], 1)
        counters = [int(counter) for counter in self.store.multi_get(self.keys)]
        if silent := self.watch.look(now, counters):
            present = [rank for rank, one in enumerate(counters) if one != OVER and rank not in silent]
            self.silent, self.mute = silent, self.number != present[0]

    def finish(self) -> None:
        """Let the others know that nothing more comes from this rank."""
        self.store.set(self.keys[self.number], str(OVER))

    def blame(self) -> None:
        """Say who is silent, and have the main thread told."""
        several = len(self.silent) > 1
        who = f"rank{'s' * several} {', '.join(map(str, self.silent))}"
        if self.mute:
            self.over.wait(LATER)
        else:
            have = "have" if several else "has"
            self._say(
                f"{who} {have} not answered for {self.watch.silent:g} seconds: stopped, or out of reach; the run ends"
            )
        self.deadline = time.monotonic() + PATIENCE
        self.lost = f"{who} {'do' if several else 'does'} not answer"

    def stop(self) -> None:
        """End the thread."""
        self.over.set()
        self.thread.join(LATER)  # it goes on only where the store hangs

    def _run(self) -> None:
        with suppress(RuntimeError):  # the launcher has ended, which holds the store
            self.join()
            while not self.silent and not self.over.wait(BEAT):
                self.beat(time.monotonic())
            if not self.silent:
                self.finish()
        if self.silent:
            self.blame()
        while self.lost and not self.over.wait(BEAT):
            if time.monotonic() > self.deadline:
                self._leave()

    def _leave(self) -> None:
        """End this process, whose main thread hangs."""
        if not self.mute:
            self._say(self.last_words())
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        os._exit(CODE)

    def _say(self, text: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads it
            self.say(text)
            sys.stderr.flush()


_latest: list[Heartbeat] = []  # this process's


@contextmanager
def heartbeat(store: dist.Store, number: int, count: int, say: Callable[[str], None]) -> Iterator[Heartbeat]:
    """A context in which the ranks watch each other; the arguments are those of `Heartbeat`."""
    beating = Heartbeat(store, number, count, say)
    _latest[:] = [beating]
    beating.thread.start()
    try:
        yield beating
    finally:
        beating.stop()


def check_answers() -> None:
    """Raise LostRankError if a rank is silent."""
    if _latest and _latest[0].lost:
        _latest[0].deadline = time.monotonic() + ENDING
        raise LostRankError(f"rank {_latest[0].number}: {_latest[0].lost}")


def is_mute() -> bool:
    """Return whether another rank speaks of what has happened."""
    return bool(_latest) and _latest[0].mute


def in_the_end(words: Callable[[], str]) -> None:
    """Have it printed what `words` returns if this process has to end because its main thread hangs."""
    if _latest:
        _latest[0].last_words = words
