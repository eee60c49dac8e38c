"""A plain twin in the place of its trick, wherever the trick was imported."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType
from typing import Any

Make = Callable[[], Callable[[], object]]  # makes what is timed: a function without arguments


@contextmanager
def replaced(trick: FunctionType, twin: FunctionType) -> Iterator[None]:
    """A context in which calls of `trick` run the code of `twin`, which takes the same arguments.

    Modules that imported the trick hold it under their own names; all share its code, which is replaced.
    """
    code = trick.__code__
    trick.__code__ = twin.__code__
    try:
        yield
    finally:
        trick.__code__ = code


def calls_of(run: Callable[[], object]) -> Counter[CodeType]:
    """Return how often each Python function is called where something is run, by its code."""
    calls: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, _: Any) -> None:  # noqa: ANN401
        if event == "call":
            calls[frame.f_code] += 1

    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(None)
    return calls
