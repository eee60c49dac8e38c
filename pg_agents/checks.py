"""Checks of numbers from users."""

from __future__ import annotations

import math
import operator
from typing import Any


def is_count(value: Any, least: int = 1) -> bool:  # noqa: ANN401
    """Return whether a value is a whole number, Python's or numpy's, and at least `least`."""
    return not isinstance(value, bool) and hasattr(value, "__index__") and operator.index(value) >= least


def whole_number(name: str, value: Any, least: int = 0) -> int:  # noqa: ANN401
    """Return `value` as an int; numpy's integers are accepted.

    Raises:
        ValueError: it is not a whole number, is below `least`, or does not fit into 63 bits.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise ValueError(f"{name} must be a whole number, {least} or above, got {value!r}")
    if number >= 2**63:
        raise ValueError(f"{name} must be below 2^63, got {value!r}")
    return number


def finite_number(name: str, value: Any) -> float:  # noqa: ANN401
    """Return `value` as a float.

    Raises:
        ValueError: it is not a finite number.
    """
    number = math.nan if isinstance(value, bool | str) else _float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return number


def _float(value: Any) -> float:  # noqa: ANN401
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan
