"""Numbers that change over a run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LinearSchedule:
    """A number that changes linearly from `start` at a run's beginning to `end` at its end.

        x(p) = start + (end − start) p,   p ∈ [0, 1] the completed share of the run

    Written "start:end" on the command line and in files.
    """

    start: float
    end: float

    def at(self, progress: float) -> float:
        """Return the number after the share `progress` of the run."""
        return self.start + (self.end - self.start) * progress

    def __str__(self) -> str:
        return f"{self.start}:{self.end}"

    @classmethod
    def parse(cls, text: str) -> LinearSchedule:
        """Return the schedule written as "start:end"; ValueError for any other text."""
        start, end = text.split(":")
        return cls(float(start), float(end))


Scheduled = float | LinearSchedule | str  # a constant, a schedule, or a schedule as text


def scheduled(name: str, value: Scheduled | None) -> float | LinearSchedule | None:
    """Return the value of the argument `name`, parsed if it is a string.

    Raises:
        ValueError: the string is neither a number nor a schedule.
    """
    if not isinstance(value, str):
        return value
    try:
        return LinearSchedule.parse(value) if ":" in value else float(value)
    except ValueError as error:
        raise ValueError(f"{name} must be a number, or a schedule start:end such as 1e-3:0, got {value!r}") from error
