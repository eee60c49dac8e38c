"""What a tracker is told of a run, and what it must do with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

PROJECT = "pg-agents"  # of the tracker, unless its own environment variable names another


@dataclass(frozen=True)
class Start:
    """What a tracker is told when a run begins, or goes on.

    Attributes:
        name: of the run: that of its folder, of one of several seeds with the folder above.
        group: the name of the folder above, of one of several seeds; None: the run belongs to no group.
        run_dir: the run's folder.
        config: what its config.json says.
        run_id: the tracker's id of the run that goes on; None: a new one begins.
    """

    name: str
    group: str | None
    run_dir: Path
    config: Mapping[str, Any]
    run_id: str | None


class Tracker(Protocol):
    """A run at a tracker, which begins when this is made.

    Attributes:
        run_id: the tracker's id of the run, by which it goes on.
        where: where the run is to be seen, as text.
    """

    run_id: str
    where: str

    def __init__(self, start: Start) -> None: ...

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Send the numbers of a row of metrics; `step` counts environment steps and never falls."""

    def close(self, step: int, results: Mapping[str, float | str], *, failed: bool) -> None:
        """Send the results of the run, and that it has ended; `failed`: an error or a signal has ended it."""
