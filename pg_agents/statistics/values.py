"""What the statistics are made of: one number for each run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Values = Sequence[float] | NDArray[np.floating]


def checked(values: Values, name: str = "values", least: int = 1) -> NDArray[np.floating]:
    """Return the values as an array, [n].

    Args:
        values: numbers, one for each run.
        name: of the argument, for errors.
        least: how many there must be; two are what an interval needs.

    Raises:
        ValueError: there are fewer, or one is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"{name} must be a list of at least one number, got the shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    if len(array) < least:
        raise ValueError(f"{name}: an interval needs at least {least}, got {len(array)}")
    return array


def checked_level(level: float) -> float:
    """Return the level of an interval.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    return level
