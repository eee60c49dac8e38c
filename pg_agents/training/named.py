"""Functions that answer an argument which they do not have with the one that is meant."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from pg_agents.configuration import check_names

P = ParamSpec("P")
R = TypeVar("R")


def with_names_checked(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function`, which raises TypeError for an unknown keyword argument and names what it is called here."""
    known = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        check_names(function.__name__, kwargs, known)
        return function(*args, **kwargs)

    return checked
