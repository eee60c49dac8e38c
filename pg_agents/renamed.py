"""Names of version 0.1, which answer for one version."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

PUBLIC = {"Linear": "LinearSchedule", "Steps": "StepCadence", "Episodes": "EpisodeCadence"}  # of `pg_agents`
POLICY = {"outward": "unscale_action"}  # methods that a policy of one's own may override
AGENT = {  # methods that an agent of one's own may override
    "is_far_enough": "should_stop_early",
    "improve": "optimize",
    "sized": "defaults_for, of its configuration",
    "suited": "policy_defaults, a dict of options by class of policies,",
    "forward": "loss",
    "learn": "prepare, optimize or finish",
}


def renamed(old: str, new: str) -> property:
    """Return a property that reads the attribute `new`, with a DeprecationWarning that names it."""

    def read(owner: Any) -> Any:  # noqa: ANN401
        warn(f"{type(owner).__name__}.{old}", new)
        return getattr(owner, new)

    return property(read, doc=f"The former name of `{new}`.")


def warn(old: str, new: str) -> None:
    """Warn that the name `old` is `new` now."""
    warnings.warn(
        f"{old} is called {new} now; the former name will be removed in version 0.3", DeprecationWarning, stacklevel=3
    )


def refuse_overrides(cls: type, table: Mapping[str, str]) -> None:
    """Raise TypeError where a class defines a method under its former name, which nothing would call.

    Args:
        cls: the class.
        table: former names, and what they are now.
    """
    for old, new in table.items():
        if any(old in vars(base) for base in cls.__mro__ if not base.__module__.startswith(("pg_agents.", "torch."))):
            raise TypeError(f"{cls.__name__}.{old} is called {new} now: nothing calls {old} any more")
