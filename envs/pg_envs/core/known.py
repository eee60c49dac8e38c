"""Known expected returns of an environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class KnownReturns:
    """The expected undiscounted returns of the uniformly random policy and of the best policy; None: unknown.

    `per` is "episode" (expected return of one episode, under the environment's own time limit) or, for continuing
    tasks without one, "step" (the gain). `memoryless` is the return of the best policy that uses only the current
    observation, in partially observed tasks.
    """

    random: float | None = None
    optimal: float | None = None
    per: Literal["episode", "step"] = "episode"
    memoryless: float | None = None
