"""Holds folders, so that two processes or threads do not change the same one at once.

A folder itself is locked, with `flock`, so that no file is left behind: the system releases it when the process that
holds it ends, however it ends. It binds only those who ask. Windows and some network file systems have no `flock`; a
folder there cannot be held, and nobody is kept from it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform != "win32":
    import fcntl

PATIENCE = 30.0  # seconds that `held` waits: who changes names in a folder holds it for milliseconds
TAKEN = -1


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """A context in which this thread alone holds `folder`, where its file system knows `flock`.

    Raises:
        OSError: another one holds it for longer than 30 s.
    """
    until = time.monotonic() + PATIENCE
    while (descriptor := lock(folder)) == TAKEN:
        if time.monotonic() > until:
            raise OSError(f"another process has held {folder} for {PATIENCE:.0f} s")
        time.sleep(0.002)
    try:
        yield
    finally:
        release(descriptor)


def lock(folder: Path) -> int | None:
    """Return a descriptor that holds `folder` until `release`; TAKEN: another one does; None: it cannot be held."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # it is gone, or this is Windows
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        return TAKEN if isinstance(error, BlockingIOError) else None
    return descriptor


def release(descriptor: int | None) -> None:
    """Let go of what `lock` holds."""
    if descriptor is not None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # also for a forked process that has inherited the descriptor
        os.close(descriptor)
