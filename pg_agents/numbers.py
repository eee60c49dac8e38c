"""Whole numbers that people give, checked."""

from __future__ import annotations

import operator
from typing import Any


def whole_number(name: str, value: Any, least: int = 0) -> int:  # noqa: ANN401
    """Return `value` as an int; numpy's integers are welcome.

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
