"""What a workload is: sides that do the same work in turns, and what is asked of one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Side:
    """A side: the program that does the work, and its settings.

    Attributes:
        program: "sb3", "cleanrl", "trl" or "rejax" (in the peers' Python), or one of `ours.PROGRAMS` (in this one).
        settings: settings of the program's run; `processes`: so many of it, of other seeds, side by side.
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
        rounds: runs of each side, one a seed.
    """

    title: str
    settings: dict[str, Any]
    sides: dict[str, Side]
    at_least: dict[str, float]
    by_time: bool = False
    steps_per_second: float | None = None
    subject: str = "ours"
    memory_at_most: dict[str, float] = field(default_factory=dict)
    rounds: int = 5


# PPO's arguments where all sides do the same work: 128 steps, 4 epochs of minibatches of 256.
PPO = {"num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": 2.5e-4, "entropy_weight": 0.01}
THEIR_PPO = {"n_steps": 128, "batch_size": 256, "n_epochs": 4, "learning_rate": 2.5e-4, "ent_coef": 0.01}
