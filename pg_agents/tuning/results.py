"""What tuning has found: trials as rows, the best of them, and what it returns with seeds that chose nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pg_agents.statistics import interquartile_mean, interval
from pg_agents.statistics.bootstrap import between_tails, resampled
from pg_agents.statistics.interquartile import interquartile_weights
from pg_agents.tuning.space import SEARCH
from pg_agents.tuning.task import LEVEL, Task
from pg_agents.tuning.toml_text import toml_text

FRESH = 10  # seeds of the last runs
FIRST_SEED = 100  # of the trials: results are reported of seeds from 0
Row = dict[str, Any]


def rows_of(study: Any) -> list[Row]:  # noqa: ANN401
    """Return a row for each trial: number, origin, state, score, returns, seconds, error, parameters and settings."""
    return [_row(trial) for trial in study.get_trials(deepcopy=False) if trial.state.name != "WAITING"]


def _row(trial: Any) -> Row:  # noqa: ANN401
    noted, state = trial.user_attrs, trial.state.name.lower()
    finite = trial.state.name == "COMPLETE" and math.isfinite(trial.value)
    lowers = [trial.intermediate_values[point] for point in sorted(trial.intermediate_values)]
    return {
        "trial": trial.number,
        "origin": noted.get("origin", SEARCH),
        "state": "failed" if "error" in noted or state == "fail" else state,
        "score": trial.value if finite else None,
        "lower_ends": lowers,
        "returns": noted.get("returns"),
        "seconds": noted.get("seconds"),
        "error": noted.get("error"),
        "parameters": trial.params,
        "settings": noted.get("settings"),
    }


def best_of(rows: Sequence[Row], origins: Sequence[str] | None = None) -> Row | None:
    """Return the row with the highest score, of some origins, and of equal ones that which learned soonest.

    None: there is none.
    """
    whole = [row for row in rows if row["score"] is not None and (origins is None or row["origin"] in origins)]
    return max(whole, key=lambda row: (row["score"], float(np.mean(row["lower_ends"]))), default=None)


@dataclass(frozen=True)
class Fresh:
    """What a trial's settings return with fresh seeds.

    Attributes:
        row: the trial.
        seeds: the fresh seeds.
        returns: of each; []: the runs have failed.
        error: why; "": they have not.
    """

    row: Row
    seeds: Sequence[int]
    returns: list[float]
    error: str = ""

    @property
    def mean(self) -> float:
        """The interquartile mean; −∞ if the runs have failed."""
        return interquartile_mean(self.returns) if self.returns else -math.inf

    def drop(self) -> tuple[float, float, float]:
        """Return by how much less the fresh seeds return than those of the trial, and the ends of its 95 % interval."""
        return difference(self.row["returns"], self.returns)


def difference(first: Sequence[float], second: Sequence[float]) -> tuple[float, float, float]:
    """Return the difference of two interquartile means, and the ends of a 95 % interval of it.

    Both are resampled as in `pg_agents.statistics.interval`, in orders independent of each other, with the
    degrees of freedom of the smaller sample.
    """
    ours, theirs = (np.sort(np.asarray(values, np.float64)) for values in (first, second))
    samples, others = (resampled(values, interquartile_weights(len(values))) for values in (ours, theirs))
    others = np.random.default_rng(0).permutation(others)
    low, high = between_tails(samples - others, LEVEL, min(len(ours), len(theirs)))
    return interquartile_mean(ours) - interquartile_mean(theirs), float(low), float(high)


def fresh_seeds(seeds: Sequence[int]) -> tuple[int, ...]:
    """Return as many seeds as the last runs have, none of them the trials'."""
    first = max(seeds) + 1
    return tuple(range(first, first + FRESH))


def file_text(task: Task, row: Row, comments: Sequence[str]) -> str:
    """Return a trial's settings as a file for `train --config`, in TOML."""
    settings = row["settings"]
    table: dict[str, Any] = {"agent": task.agent, "env": task.env}
    table |= {name: settings[name] for name in ("num_envs", "total_steps")}
    table |= {"wrappers": list(task.wrappers)} if task.wrappers else {}
    given = {"env_args": task.env_args, "eval_env_args": task.eval_env_args}
    return toml_text(table | given | {"arguments": settings["arguments"]}, [*comments, "", *shipped(task, row)])


def shipped(task: Task, row: Row) -> list[str]:
    """Return the entry for the shipped settings, as lines of Python."""
    settings = row["settings"]
    own = {name: settings[name] for name in ("num_envs", "total_steps", "arguments")}
    own |= {"env_args": task.env_args} if task.env_args else {}
    own |= {"wrappers": task.wrappers} if task.wrappers else {}
    values = ", ".join(f"{name}={_tuples(value)!r}" for name, value in own.items())
    return [
        "To ship these settings with the package, add to TUNED in pg_agents/training/tuned.py:",
        f"    ({task.agent!r}, {task.env!r}): Tuned({values}),",
    ]


def _tuples(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return {name: _tuples(inner) for name, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def lines_text(rows: Sequence[Row]) -> str:
    """Return rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def number(values: Sequence[float]) -> str:
    """Return an interquartile mean with its 95 % interval, as text."""
    low, high = interval(values, LEVEL)
    return f"{interquartile_mean(values):.4g} ({low:.4g} … {high:.4g})"
