"""A stopwatch for named functions: how much of the time was spent in each of them and in nothing they call."""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import GeneratorType
from typing import Any

_END = object()  # of a generator


class Spans:
    """Exclusive seconds and calls of functions, by the outermost span they ran in and their own label.

    Time that a function spends in another one with a span belongs to that one. A span costs about half a microsecond,
    which is counted where it stands.
    """

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = {}
        self.calls: dict[tuple[str, str], int] = {}
        self.open: list[list[Any]] = []  # [label, seconds spent in spans within]

    def _enter(self, label: str) -> float:
        self.open.append([label, 0.0])
        return time.perf_counter()

    def _leave(self, started: float) -> None:
        elapsed = time.perf_counter() - started
        outermost = self.open[0][0]
        label, within = self.open.pop()
        key = outermost, label
        self.seconds[key] = self.seconds.get(key, 0.0) + elapsed - within
        self.calls[key] = self.calls.get(key, 0) + 1
        if self.open:
            self.open[-1][1] += elapsed

    def timed(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        """Return `function` with a span around each call; where it returns a generator, around each of its steps."""

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            started = self._enter(label)
            try:
                result = function(*args, **kwargs)
            finally:
                self._leave(started)
            return self._steps(result, label) if isinstance(result, GeneratorType) else result

        return wrapper

    def _steps(self, generator: GeneratorType, label: str) -> Iterator[Any]:
        following = self.timed(lambda: next(generator, _END), label)
        while (value := following()) is not _END:
            yield value

    @contextmanager
    def around(self, targets: dict[str, str]) -> Iterator[None]:
        """Put spans around functions, {dotted name: label}, and take them away again.

        Raises:
            AttributeError: there is no such function (it was renamed: rename it in the table).
        """
        replaced = []
        for name, label in targets.items():
            owner, attribute = resolve(name)
            own = vars(owner).get(attribute)  # None: inherited
            replaced.append((owner, attribute, own))
            setattr(owner, attribute, self.timed(getattr(owner, attribute), label))
        try:
            yield
        finally:
            for owner, attribute, own in reversed(replaced):
                if own is None:
                    delattr(owner, attribute)
                else:
                    setattr(owner, attribute, own)


def resolve(name: str) -> tuple[Any, str]:
    """Return the module or class and the attribute that a dotted name stands for."""
    path, attribute = name.rsplit(".", 1)
    parts = path.split(".")
    for i in range(len(parts), 0, -1):
        try:
            owner: Any = importlib.import_module(".".join(parts[:i]))
        except ModuleNotFoundError:
            continue
        for part in parts[i:]:
            owner = getattr(owner, part)
        getattr(owner, attribute)
        return owner, attribute
    raise AttributeError(f"there is no {name}")
