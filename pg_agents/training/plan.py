"""The plan of a run: its length, seed, and how often it is logged."""

from __future__ import annotations

from dataclasses import dataclass

from pg_agents.checks import finite_number, whole_number


@dataclass(frozen=True)
class Plan:
    """The plan of a run.

    Attributes:
        total_steps: valid transitions to learn from.
        seed: of the environment and of the actions.
        log_every: steps between rows of metrics.
        stop_return: mean return of the newest training episodes at which the run ends; None: it does not.
    """

    total_steps: int
    seed: int
    log_every: int
    stop_return: float | None


def make_plan(total_steps: int, seed: int, log_every: int | None, stop_return: float | None) -> Plan:
    """Return the plan of a run; 200 rows of metrics if `log_every` is None.

    Raises:
        ValueError: an argument out of range.
    """
    total_steps, seed = whole_number("total_steps", total_steps, 1), whole_number("seed", seed)
    log_every = max(1, total_steps // 200) if log_every is None else whole_number("log_every", log_every, 1)
    return Plan(
        total_steps, seed, log_every, None if stop_return is None else finite_number("stop_return", stop_return)
    )
