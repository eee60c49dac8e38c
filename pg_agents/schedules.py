"""Numbers that change over a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LinearSchedule:
    """A number that goes in a straight line from `start` at a run's beginning to `end` at its end.

        x(p) = start + (end − start) p,   p ∈ [0, 1] the part of the run that is over

    Written "start:end" on the command line and in files.
    """

    start: float
    end: float

    def at(self, progress: float) -> float:
        """Return the number when the part `progress` of the run is over."""
        return self.start + (self.end - self.start) * progress

    def __str__(self) -> str:
        return f"{self.start}:{self.end}"

    @classmethod
    def parse(cls, text: str) -> LinearSchedule:
        """Return the schedule written as "start:end"; ValueError where it is written otherwise."""
        start, end = text.split(":")
        return cls(float(start), float(end))


Scheduled = float | LinearSchedule | str  # a constant, a schedule, or a schedule as text


def scheduled(name: str, value: Scheduled | None) -> float | LinearSchedule | None:
    """Return the argument `name` with a schedule's text made a schedule.

    Raises:
        ValueError: it is neither a number nor a schedule.
    """
    if not isinstance(value, str):
        return value
    try:
        return LinearSchedule.parse(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a number, or a schedule start:end such as 1e-3:0, got {value!r}") from error
