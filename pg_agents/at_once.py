"""Ctrl-C where there is nothing to end in order, above all while the command line is imported: one line, and the end.

A KeyboardInterrupt in the middle of an import is a traceback, or is lost in code in C.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


def leave(number: int, frame: object) -> None:
    """Print one line and end this process; its exit code is 130 after SIGINT and 143 after SIGTERM, as in a shell."""
    os.write(2, f"{NAMES[signal.Signals(number)]}\n".encode())
    os._exit(128 + number)


def heed_imports() -> None:
    """Handle Ctrl-C so if this process is the command line, which has begun to import the package."""
    program = os.path.basename(sys.argv[0]) if getattr(sys, "argv", None) else ""
    module = program == "-m" and "pg_agents" in sys.orig_argv  # what python -m is, until it has found the module
    if (module or program in ("pg-agents", "pg-agents.exe")) and _is_default():
        signal.signal(signal.SIGINT, leave)


def heed_commands() -> None:
    """Have Ctrl-C raise KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def leaving() -> Iterator[None]:
    """A context in which SIGINT and SIGTERM are handled so, unless they are ignored or handled by somebody else."""
    known = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    former = {}
    if threading.current_thread() is threading.main_thread():
        former = {number: handler for number, handler in known.items() if signal.getsignal(number) is handler}
    for number in former:
        signal.signal(number, leave)
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _is_default() -> bool:
    in_main = threading.current_thread() is threading.main_thread()
    return in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
