"""What a workload is: sides that do the same work in turns, and what is asked of one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Side:
    """A side: the program that does the work, and its settings.

    Attributes:
        program: one of `running.WORKERS` (in the peers' Python), or one of `ours.PROGRAMS` (in this one).
        settings: settings of the program's run; `processes`: so many of it, of other seeds, side by side; `variables`:
            of its environment.
    """

    program: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Workload:
    """Work that several sides do in turns.

    Attributes:
        title: for tables and pictures.
        settings: those of every side.
        sides: by name.
        at_least: how many times as fast as each of the others `subject` is to be; 0: it is only compared.
        by_time: sides are compared by the seconds they took (to reach a return) instead of their steps per second.
        steps_per_second: that `subject` is to reach, or None.
        subject: the side that is compared with the others.
        memory_at_most: how many times the peak memory of each of these sides that of `subject` may be.
        quiet: share of its time that a run spends on a processor on a quiet machine; 0 where processes wait for others.
    """

    title: str
    settings: dict[str, Any]
    sides: dict[str, Side]
    at_least: dict[str, float]
    by_time: bool = False
    steps_per_second: float | None = None
    subject: str = "ours"
    memory_at_most: dict[str, float] = field(default_factory=dict)
    quiet: float = 0.95


@dataclass(frozen=True)
class Cell:
    """A side of a workload: its seeds are rounds, in each of which every side runs once.

    Attributes:
        name: "workload/side".
        program: the side's.
        settings: all of its run but the seed.
    """

    name: str
    program: str
    settings: dict[str, Any]


def cells_of(workloads: Mapping[str, Workload], **changes: Any) -> list[Cell]:  # noqa: ANN401
    """Return the cells of workloads.

    Args:
        workloads: by their names.
        changes: settings of all sides that are others, as total_steps=4096.
    """
    return [
        Cell(name_of(work, name), side.program, workload.settings | side.settings | changes)
        for work, workload in workloads.items()
        for name, side in workload.sides.items()
    ]


def name_of(workload: str, side: str) -> str:
    """Return the name of a side's cell."""
    return f"{workload}/{side}"


# PPO's arguments where all sides do the same work: 128 steps, 4 epochs of minibatches of 256.
PPO = {"num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": 2.5e-4, "entropy_weight": 0.01}
THEIR_PPO = {"n_steps": 128, "batch_size": 256, "n_epochs": 4, "learning_rate": 2.5e-4, "ent_coef": 0.01}
