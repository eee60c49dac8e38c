"""A trick and its twin in turns, many times, by processor time."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from types import FunctionType
from typing import NamedTuple

import numpy as np

from benchmarks.speed._tricks.replaced import Make, replaced

WORTH_A_CALL = 0.004  # seconds of one measurement at least, so that reading the clock takes none


class Saving(NamedTuple):
    """What a trick saves.

    Attributes:
        seconds: median seconds of the trick.
        plain_seconds: median seconds of its twin.
        saved: 1 − trick / twin, the median over pairs of measurements that followed each other.
        error: the standard error of that median, as far as the spread of the pairs tells.
        pairs: number of pairs of measurements.
    """

    seconds: float
    plain_seconds: float
    saved: float
    error: float
    pairs: int


def compare(trick: FunctionType, twin: FunctionType, make: Make, seconds: float) -> Saving:
    """Measure what `make` makes with the trick and with its twin in turns, for so many seconds of processor time."""

    def side(plain: bool) -> Callable[[], float]:
        with replaced(trick, twin) if plain else nullcontext():
            run = make()
            run()  # the first is slower
            count = _count(run)

        def measure() -> float:
            with replaced(trick, twin) if plain else nullcontext():
                return _timed(run, count)

        return measure

    sides = [side(False), side(True)]
    times: list[tuple[float, float]] = []
    until = time.process_time() + seconds
    while time.process_time() < until or len(times) < 5:
        first = len(times) % 2  # the two alternate in being first
        found = {i: sides[i]() for i in (first, 1 - first)}
        times.append((found[0], found[1]))
    mine, plain = np.array(times).T
    saved = 1 - mine / plain
    middle = float(np.median(saved))
    deviation = 1.4826 * float(np.median(np.abs(saved - middle)))
    error = 1.2533 * deviation / len(saved) ** 0.5  # of a median of normal numbers
    return Saving(float(np.median(mine)), float(np.median(plain)), middle, error, len(times))


def _count(run: Callable[[], object]) -> int:
    """Return how often something is run in one measurement."""
    count = 1
    while (took := _timed(run, count) * count) < WORTH_A_CALL:
        count = max(2 * count, int(1.2 * count * WORTH_A_CALL / max(took, 1e-6)) if took > 1e-4 else 2 * count)
    return count


def _timed(run: Callable[[], object], count: int) -> float:
    """Return the seconds of processor time that one run takes."""
    started = time.process_time()
    for _ in range(count):
        run()
    return (time.process_time() - started) / count
