"""Where tuning looks for an option's value, written in its type: `learning_rate: Annotated[Positive, Around(30)]`.

A subclass that gives an option another default keeps where it is looked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Around:
    """From the default divided by a factor to the default times it, on a logarithmic scale.

    Attributes:
        factor: above 1.
        ends: of a schedule, its ends as shares of its start: 1 is a constant; (): constants alone.
    """

    factor: float
    ends: tuple[float, ...] = ()


@dataclass(frozen=True, init=False)
class Among:
    """One of a few values, and the default.

    Attributes:
        values: the values.
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:  # noqa: ANN401
        object.__setattr__(self, "values", values)


OnOrOff = Annotated[bool, Among(False, True)]
"""A switch of which tuning tries both."""
