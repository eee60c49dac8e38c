"""Curves from Stable-Baselines3's tables: its logger's progress.csv, its Monitor's monitor.csv."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pg_agents.comparison.curve import Curve, Numbers, curve_of
from pg_agents.errors import UserError
from pg_agents.shown import shown

STEPS = "time/total_timesteps"
OURS = {"eval/mean_reward": "eval/ep_rew_mean", "eval/mean_ep_length": "eval/ep_len_mean"}
RETURN, LENGTH = "rollout/ep_rew_mean", "rollout/ep_len_mean"
EPISODES = 100  # over which the mean of a monitor's returns is taken, as in all the other files


def from_logger(path: Path, metric: str) -> Curve:
    """Return a metric from progress.csv; empty cells are no values.

    Raises:
        UserError: it has no column of steps, or a cell of it is no number.
        OSError: the file cannot be read.
    """
    (head, *rows) = _cells(path) or [[]]
    names = [OURS.get(name, name) for name in head]
    if STEPS not in names:
        raise UserError(f"runs: {path} has no column {STEPS}; give a log of Stable-Baselines3's, or leave it out")
    at, of = names.index(STEPS), names.index(metric) if metric in names else None
    filled = [row for row in rows if of is not None and len(row) == len(head) and row[of] and row[at]]
    pairs = [(_number(path, row[at]), _number(path, row[of or 0])) for row in filled]
    return curve_of(pairs, sorted({*names} - {STEPS}))


def from_monitors(paths: Sequence[Path], metric: str) -> Curve:
    """Return the mean return, or length, of the last 100 episodes, in the order in which they ended in all the files.

    The steps are those of the episodes that have ended, in all files together.

    Raises:
        UserError: a file is no monitor's, or a cell is no number.
        OSError: a file cannot be read.
    """
    column = {RETURN: "r", LENGTH: "l"}.get(metric)
    episodes: list[tuple[float, float, float]] = []  # when it ended, its length, its value
    env: str | None = None
    for path in paths:
        head, *rows = _cells(path) or [[]]
        header = _header(path)
        env = env or header.env
        if not {"r", "l", "t"} <= set(head):
            raise UserError(f"runs: {path} has no columns r, l and t; give a Monitor's file, or leave it out")
        places = [head.index(name) for name in ("t", "l", column or "r")]
        numbers = [[_number(path, row[place]) for place in places] for row in rows if len(row) == len(head)]
        episodes += [(header.begin + when, length, value) for when, length, value in numbers]
    if column is None or not episodes:
        return curve_of((), (RETURN, LENGTH), env)
    table = np.array(sorted(episodes))
    steps, means = np.cumsum(table[:, 1]).tolist(), _means_of_last(table[:, 2]).tolist()
    return curve_of(list(zip(steps, means, strict=True)), (RETURN, LENGTH), env)


def _means_of_last(values: Numbers) -> Numbers:
    """Return the mean of the newest 100 values, at each."""
    windows = sliding_window_view(np.concatenate([np.zeros(EPISODES - 1), values]), EPISODES)
    return windows.sum(1) / np.minimum(np.arange(1, len(values) + 1), EPISODES)


def _cells(path: Path) -> list[list[str]]:
    """Return the rows of cells, the head first, without comments and without what stands behind the last line's end."""
    return list(csv.reader(_lines(path)))


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        yield from (line for line in file if line.endswith("\n") and not line.startswith("#") and line.strip())


@dataclass(frozen=True)
class _Header:
    """What a monitor writes into its first line: the environment's id, and when it began, from which times count."""

    env: str | None
    begin: float


def env_of(path: Path) -> str | None:
    """Return the environment's id, which a monitor writes into its first line."""
    return _header(path).env


def _header(path: Path) -> _Header:
    with path.open(encoding="utf-8", errors="replace") as file:
        line = file.readline()
    try:
        found = json.loads(line.removeprefix("#"))
    except (ValueError, RecursionError):
        found = None
    found = found if isinstance(found, dict) else {}
    env, begin = found.get("env_id"), found.get("t_start")
    begin = float(begin) if isinstance(begin, int | float) and math.isfinite(begin) else 0.0
    return _Header(env if isinstance(env, str) and env != "None" else None, begin)


def _number(path: Path, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        if text in ("", "None"):
            return math.nan
        raise UserError(f"runs: {path} has {shown(text, 40)} where a number is to be; remove the line") from None
