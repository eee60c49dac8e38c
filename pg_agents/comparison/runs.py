"""Runs: their curves, their settings and how far they came."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_agents.comparison.curve import Curve
from pg_agents.comparison.finding import Found
from pg_agents.comparison.reading import read_curve
from pg_agents.comparison.words import some
from pg_agents.errors import UserError
from pg_agents.shown import nearest, shown
from pg_agents.spaces.environments import id_for
from pg_agents.training.run_files import CONFIG, SUMMARY

SEED = re.compile(r"(?:.*[-_.])?(?:seed|run)[-_]?(\d+)|(\d+)", re.IGNORECASE)  # folders: seed-3, ppo_run3, 3
KNOWN, KINDS = "known_returns", ("random", "optimal")
UNFINISHED = ("unfinished", "cut off")  # how the states of runs begin that may have learned less than they were to
STOPPED = "stopped"  # and of those that a probe or what they had reached has ended
EVALUATED, REACHED = "eval/", "stop_return="  # how metrics of evaluations begin, and why a run was stopped that is good


@dataclass(frozen=True)
class Run:
    """What is compared of a run.

    Attributes:
        name: of its folder.
        folder: the name of the folder of all seeds, or its own.
        env: the environment's id; "": nothing says it.
        env_args: for the environment's constructor.
        eval_args: of the evaluations' environment, beside them or instead; {}: the metric is none of evaluations.
        settings: what its config.json says, tables flattened: arguments.learning_rate; always with an agent.
        curve: the metric.
        state: finished, unfinished (it goes on, or was killed), or why it ended; "": nothing says it.
        reached: whether it ended since it had reached the return that it was to.
        known: returns of the random and of the best policy that the config.json says.
        wrapped: whether wrappers are around the environment, which may change its rewards.
    """

    name: str
    folder: str
    env: str
    env_args: Mapping[str, Any]
    eval_args: Mapping[str, Any]
    settings: Mapping[str, Any]
    curve: Curve
    state: str
    reached: bool
    known: Mapping[str, float]
    wrapped: bool


def read_runs(found: Iterable[Found], metric: str) -> tuple[list[Run], list[str]]:
    """Return the runs that have the metric, and a sentence about those that are left out since they have none.

    Raises:
        UserError: none has it, or a file is damaged.
    """
    every = [_read(one, metric) for one in found]
    with_it = [run for run in every if run.curve.steps.size]
    if not with_it:
        raise UserError(_no_values(every, metric))
    without = [run.name for run in every if not run.curve.steps.size]
    return with_it, [f"left out, as no row has a finite {metric}: {some(without)}"] if without else []


def _no_values(runs: Sequence[Run], metric: str) -> str:
    known = sorted({name for run in runs for name in run.curve.metrics})
    named = runs[0].name + (f" and {len(runs) - 1} more" if len(runs) > 1 else "")
    if not known:
        return f"runs: {named} has no row of metrics yet; give runs that have learned for a while"
    if metric in known:
        return f"runs: {named} has no finite value of {metric}; give another metric with --metric"
    near = nearest(metric, known) or known[:8]
    return f"metric: no row of {named} has {shown(metric)}; there are {', '.join(near)}"


def _read(found: Found, metric: str) -> Run:
    curve = read_curve(found.folder, metric)
    config, summary = _table(found.folder / CONFIG), _table(found.folder / SUMMARY)
    folder, seed = _series(found)
    steps = float(curve.steps[-1]) if curve.steps.size else 0.0
    wrappers = config.get("wrappers")
    env_args, eval_args = _inner(config, "env_args"), _inner(config, "eval_env_args")
    env = config.get("env", curve.env)
    env = _task(env, env_args, wrappers) if isinstance(env, str) else ""
    settings = {"agent": folder, **({} if seed is None else {"seed": seed}), **dict(_flat(config))}
    settings["agent"] = str(settings["agent"])
    known = _inner(config, KNOWN)
    return Run(
        found.name,
        folder,
        env,
        env_args,
        eval_args if metric.startswith(EVALUATED) else {},
        settings,
        curve,
        _state(config, summary, steps),
        str(summary.get("stopped")).startswith(REACHED),
        {key: value for key in KINDS if (value := _finite(known.get(key))) is not None},
        bool(wrappers),
    )


def _series(found: Found) -> tuple[str, int | None]:
    """Return the name of what a run is one of, and its seed, from the name of its folder: of mine/seed-3 mine and 3."""
    *above, last = found.name.split("/")
    match = SEED.fullmatch(last)
    if match is None:
        return found.name, None
    seed = int(match[1] or match[2])
    own = re.sub(r"[-_.]?(?:seed|run)?[-_]?\d+\Z", "", last, flags=re.IGNORECASE)
    parts = [*above, own] if own else above
    return "/".join(parts) or found.folder.resolve().parent.name, seed


def _task(env: str, env_args: Mapping[str, Any], wrappers: object) -> str:
    """Return the id under which the environment's rows have generators of their own: one name for one task."""
    return id_for(env, 2, env_args, wrappers)


def _state(config: Mapping[str, Any], summary: Mapping[str, Any], steps: float) -> str:
    """Return how a run ended, of what its files say."""
    if why := summary.get("stopped"):
        return f"{STOPPED}: {why}"
    if why := summary.get("cut_off"):
        return f"cut off: {why}"
    total = _finite(config.get("total_steps"))
    return "finished" if summary else "unfinished" if total is not None and steps < total else ""


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a table, those of tables in it behind their names and a dot; lists are text."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", json.dumps(value) if isinstance(value, list) else value


def _inner(table: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a table in a table; {}: there is something else, or nothing."""
    found = table.get(name)
    return found if isinstance(found, dict) else {}


def _finite(value: object) -> float | None:
    """Return a finite number of JSON as a float; None: it is something else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        return None
    return float(value)


def _table(path: Path) -> dict[str, Any]:
    """Return the table in a file; {}: there is no file.

    Raises:
        UserError: there is something else in it.
    """
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"runs: {path} is damaged ({shown(str(error), 80)}); repair it, or remove it") from error
    if not isinstance(found, dict):
        raise UserError(f"runs: {path} holds no table, but {shown(found, 60)}; repair it, or remove it")
    return found
