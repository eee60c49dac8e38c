"""What the command line prints: in characters that the terminal has, without the escape sequences of others' texts."""

from __future__ import annotations

import os
import select
import sys
from typing import TextIO

from pg_agents.shown import printable, shortened


def prepare() -> None:
    """Let standard output and standard error replace characters that their encoding lacks, as cp1252 lacks γ.

    Where they are closed (`>&-`) what is printed goes nowhere.
    """
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def say(text: str, file: TextIO | None = None) -> None:
    """Print a text that may have names in it which others chose: of environments, folders, agents."""
    print(printable(text), file=file)


def nobody_reads() -> bool:
    """Return whether standard output is a pipe that is read no longer: whoever read it, `| head`, has seen enough."""
    if not hasattr(select, "poll"):
        return True
    watch = select.poll()
    try:
        watch.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # it is no file, or closed
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))


def complain(message: str) -> None:
    """Print what went wrong to standard error, in no more than a screen."""
    print(f"error: {shortened(printable(message))}", file=sys.stderr)
