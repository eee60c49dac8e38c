"""What several seeds returned, and the interquartile mean of that with an interval that says how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pg_agents.statistics import METHOD, interquartile_mean, interval

STACKED, PROCESSES = "stacked", "processes"  # the ways in which several seeds are trained
LEVEL = 0.95
LAST, EVALUATION = "mean_return_last_100", "last_evaluation"


def over_seeds(seeds: Sequence[int], way: str, runs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the summary of several seeds' runs says besides.

    It is `seeds`, `way`, `steps` (what each has learned from), and `over_seeds`: for the mean return of the last 100
    episodes, and for the last evaluation if there was one, that of `each` (None: no episode has ended),
    `interquartile_mean`, `low` and `high`, the ends of its 95 % interval, and the interval's `method`. Where a seed has
    nothing, no mean is made of the others.

    Args:
        seeds: of the runs.
        way: in which they were trained.
        runs: their summaries, as in summary.json, which may come from anybody; {} where there is none.
    """
    each = {LAST: [_finite(run.get(LAST)) for run in runs]}
    evaluated = [_last(run.get("evaluations")) for run in runs]
    if any(value is not None for value in evaluated):
        each[EVALUATION] = evaluated
    steps = [count if isinstance(count := run.get("total_steps"), int) else None for run in runs]
    middles = {name: _middle(values) for name, values in each.items()}
    return {"seeds": list(seeds), "way": way, "steps": steps, "over_seeds": middles}


def _last(evaluations: object) -> float | None:
    """Return the mean return of the last of the evaluations, which stand by the steps before them."""
    by_steps = {str(steps): mean for steps, mean in evaluations.items()} if isinstance(evaluations, dict) else {}
    return _finite(by_steps[max(by_steps, key=int)]) if by_steps and all(map(str.isdigit, by_steps)) else None


def _finite(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _middle(each: list[float | None]) -> dict[str, Any]:
    found: list[float] = [value for value in each if value is not None]
    whole = len(found) == len(each)
    low, high = interval(found, LEVEL) if whole and len(found) > 1 else (None, None)
    mean = interquartile_mean(found) if whole else None
    return {"each": each, "interquartile_mean": mean, "low": low, "high": high, "method": METHOD}
