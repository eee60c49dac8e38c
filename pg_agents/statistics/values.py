"""What the statistics are made of: one number for each run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pg_agents.shown import shown

Values = Sequence[float] | NDArray[np.floating]


def checked(values: Values, name: str = "values", least: int = 1) -> NDArray[np.floating]:
    """Return the values as an array, [n].

    Args:
        values: numbers, one for each run.
        name: of the argument, for errors.
        least: how many there must be; two are what an interval needs.

    Raises:
        ValueError: there are fewer, one is not finite, or they are no list of numbers.
    """
    array = numbers(values, name)
    if array.ndim != 1 or not array.size:
        got = f"the shape {array.shape}" if array.ndim else shown(values, 80)
        raise ValueError(f"{name} must be a list of at least one number, got {got}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    if len(array) < least:
        raise ValueError(f"{name}: an interval needs at least {least}, got {len(array)}")
    return array


def numbers(values: ArrayLike, name: str) -> NDArray[np.floating]:
    """Return the values as an array of any shape.

    Raises:
        ValueError: they are something else than numbers in lists of equal lengths; the message has the argument's name.
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{name} must be numbers in a list or an array, got {shown(values, 80)}; of a set, a "
            "generator or a dictionary's values give list(…)"
        ) from error


def checked_level(level: float) -> float:
    """Return the level of an interval.

    Raises:
        ValueError: it is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    return level


def caution(runs: int) -> str | None:
    """Return a sentence that belongs beside nominal 95 % intervals of returns of so few runs; None: there are ten.

    Of 2, 3 and 4 runs no interval between the lowest and the highest holds the median in more than 1 − 2^(1 − n) of
    the cases; the interquartile mean's was measured to be the same (`interval`, `median_interval`).

    Args:
        runs: how many there are of each agent (the fewest).
    """
    if runs >= 10:
        return None
    if runs < 2:
        return f"an interval needs at least 2 runs, got {runs}: use at least 10 seeds"
    if runs < 5:
        held = f"{100 * (1 - 2 ** (1 - runs)):g} %"
        return f"95 % intervals of {runs} runs hold the IQM or the median in no more than {held}: use at least 10 seeds"
    return f"95 % intervals of {runs} runs are wide: use at least 10 seeds"
