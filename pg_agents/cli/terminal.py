"""Printing: only characters that the terminal's encoding has, and no escape sequences from foreign texts."""

from __future__ import annotations

import os
import re
import select
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from pg_agents.shown import printable, shortened

COLOURED = re.compile(r"\x1b\[[0-9;]*m(?:WARN: )?")  # as Gymnasium's warnings are


def prepare() -> None:
    """Make standard output and standard error replace characters that their encoding lacks, as cp1252 lacks γ.

    If they are closed (`>&-`), printed text is discarded. Tokenizers are told not to compute in threads, as they would
    complain of it where environments are stepped in processes.
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    sys.stdout, sys.stderr = (stream or open(os.devnull, "w") for stream in (sys.stdout, sys.stderr))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")


def say(text: str, file: TextIO | None = None) -> None:
    """Print a text, made printable: it may hold foreign names (of environments, folders, agents)."""
    print(printable(text), file=file)


def nobody_reads() -> bool:
    """Return whether standard output is a pipe whose reader (`| head`) has closed it."""
    if not hasattr(select, "poll"):
        return True
    watch = select.poll()
    try:
        watch.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):  # standard output is no file, or is closed
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in watch.poll(0))


def complain(message: str) -> None:
    """Print an error to standard error, shortened to at most a screen."""
    print(f"error: {shortened(printable(message))}", file=sys.stderr)


@contextmanager
def warnings_as_lines(*, heard: bool = True) -> Iterator[None]:
    """A context in which a warning is one line on standard error, without the line of code that it comes from.

    Args:
        heard: whether it is printed; of several processes that do the same, one prints it.
    """
    with warnings.catch_warnings():
        warnings.showwarning = _warn if heard else lambda *of, **a_warning: None
        yield


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:  # noqa: ANN401
    text = " ".join(COLOURED.sub("", str(message)).split())
    print(f"warning: {shortened(printable(text))}", file=sys.stderr)
