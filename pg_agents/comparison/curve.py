"""A metric of one run over its steps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """A metric of one run after so many environment steps.

    Attributes:
        steps: rising, [T].
        values: finite, [T].
        metrics: names of what the file has, of all rows where none has the metric, otherwise of it and the last row.
        unfit: how many of the newest values are not finite, and so are left out.
        env: the environment's id, where the file says it.
    """

    steps: Numbers
    values: Numbers
    metrics: tuple[str, ...] = ()
    unfit: int = 0
    env: str | None = None


def curve_of(pairs: Sequence[tuple[float, float]], metrics: Iterable[str] = (), env: str | None = None) -> Curve:
    """Return the curve of (step, value) in any order: of several after the same step the last one counts."""
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    table = table[np.argsort(table[:, 0], kind="stable")]
    steps, values = table.T
    last = np.append(steps[1:] != steps[:-1], True)[: len(steps)]
    steps, values = steps[last], values[last]
    fit = np.isfinite(values) & np.isfinite(steps)
    unfit = int(np.argmax(fit[::-1])) if fit.any() else len(fit)
    return Curve(steps[fit], values[fit], tuple(metrics), unfit, env)
