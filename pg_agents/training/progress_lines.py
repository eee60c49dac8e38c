"""How far a run has come, in words: what a line and a table say, and when the next line is due."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from pg_agents.training.appended import Value
from pg_agents.training.known import KnownReturns
from pg_agents.training.run import Run

FIRST, OFTEN, RARELY = 5.0, 30.0, 600.0  # seconds: the first line; between lines, at first and after hours
SHARE = 0.05  # of the time so far, that passes until the next line
SHOWN = ("policy_loss", "value_loss", "kl", "kl_reference", "entropy", "clip_fraction")  # metrics train/…, as they are


@dataclass
class Due:
    """When the next line is due: after 5 seconds, then every 30, and ever more rarely in long runs."""

    began: float = field(init=False)
    at: float = field(init=False)
    seen: float = field(init=False)  # when it was last asked for

    def __post_init__(self) -> None:
        self.began = self.seen = time.monotonic()
        self.at = self.began + FIRST

    def now(self) -> bool:
        """Return whether a line is due, and wait for the next one if it is."""
        self.seen = time.monotonic()
        if self.seen < self.at:
            return False
        self.at = self.seen + min(RARELY, max(OFTEN, SHARE * (self.seen - self.began)))
        return True


@dataclass
class Facts:
    """What is known of a run while it is in progress.

    Attributes:
        known: returns of its environment that are known.
        row: the newest metrics by name.
    """

    known: KnownReturns
    row: dict[str, Value] = field(default_factory=dict)

    def texts(self, run: Run) -> dict[str, str]:
        """Return what there is to say of a run, by what it is."""
        share = min(1.0, run.progress.share(run.total_steps))
        texts = {"steps": f"{run.steps:,} of {run.total_steps:,} ({100 * share:.0f} %)"}
        learners = len(run.progress.learners) if run.progress.learners is not None else 1
        mean = run.progress.mean_return
        name = "return" if learners == 1 else f"return of {learners}"
        texts[name] = ("–" if mean is None else f"{mean:.4g}") + self.best("episode")
        texts |= self._evaluated(run)
        gain = self.row.get("train/gain")
        if isinstance(gain, float):
            texts["gain"] = f"{gain:.4g}{self.best('step')}"
        for name in SHOWN:
            value = self.row.get(f"train/{name}")
            if isinstance(value, float) and math.isfinite(value):
                texts[name] = f"{value:.3g}"
        return texts | self._speed(run, share)

    def best(self, per: str) -> str:
        """Return the optimum as text, if it is known."""
        return "" if self.known.optimal is None or self.known.per != per else f" (optimum {self.known.optimal:.4g})"

    def _evaluated(self, run: Run) -> dict[str, str]:
        means = run.evaluations.means
        if not means:
            return {}
        steps = max(means)
        return {"evaluation": f"{means[steps]:.4g} at {steps:,}"}

    def _speed(self, run: Run, share: float) -> dict[str, str]:
        if not run.seconds:
            return {}
        texts = {"steps/s": f"{run.steps / run.seconds:,.0f}"}
        if share > 0 and not run.over:
            texts["left"] = duration(run.seconds * (1 - share) / share)
        return texts


def line(texts: Mapping[str, str]) -> str:
    """Return what there is to say as one line."""
    return "  ".join(f"{name} {text}" for name, text in texts.items())


def duration(seconds: float) -> str:
    """Return a time as 0:42, 12:03 or 5:12:03."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
