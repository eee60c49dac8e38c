"""What is known of an environment before anything is learned in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class KnownReturns:
    """What the uniformly random policy and the best policy are expected to collect, undiscounted; None: not known.

    `per` is "episode" (expected return of one episode, under the environment's own time limit) or, for continuing
    tasks without one, "step" (the gain). `memoryless` is what the best policy collects that acts on nothing but the
    present observation, where observations hide something.
    """

    random: float | None = None
    optimal: float | None = None
    per: Literal["episode", "step"] = "episode"
    memoryless: float | None = None
