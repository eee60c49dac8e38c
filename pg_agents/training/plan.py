"""The plan of a run: its length, seed, how often it is logged, and how long it waits for the environment."""

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
        step_timeout: seconds that one call of the environment may take; None: as `time_limit` says.
    """

    total_steps: int
    seed: int
    log_every: int
    stop_return: float | None
    step_timeout: float | None = None


def make_plan(
    total_steps: int, seed: int, log_every: int | None, stop_return: float | None, step_timeout: float | None
) -> Plan:
    """Return the plan of a run; 200 rows of metrics if `log_every` is None.

    Raises:
        ValueError: an argument out of range.
    """
    total_steps, seed = whole_number("total_steps", total_steps, 1), whole_number("seed", seed)
    log_every = max(1, total_steps // 200) if log_every is None else whole_number("log_every", log_every, 1)
    stop_return = None if stop_return is None else finite_number("stop_return", stop_return)
    return Plan(total_steps, seed, log_every, stop_return, step_timeout)
