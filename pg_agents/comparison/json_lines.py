"""Curves from metrics.jsonl."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pg_agents.comparison.curve import Curve, curve_of
from pg_agents.errors import UserError
from pg_agents.shown import shown

NUMBER = rb"\s*:\s*(-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|null|NaN|-?Infinity)\s*[,}]"
NO_NUMBERS = {b"null": math.nan, b"NaN": math.nan, b"Infinity": math.inf, b"-Infinity": -math.inf}


def from_json_lines(path: Path, metric: str) -> Curve:
    """Return a metric from rows like {"step": 2048, "rollout/ep_rew_mean": 21.5}; null is a value that is not finite.

    A last line that is torn is left out: it is being written, or its writer was killed.

    Raises:
        UserError: another line is no such row.
        OSError: the file cannot be read.
    """
    lines = [line for line in path.read_bytes().splitlines() if line.strip(b" \t\0")]
    if lines and _row(lines[-1]) is None:
        lines.pop()
    pairs = _pairs(path, lines, metric)
    names = {key for line in (lines[-1:] if pairs else lines) for key in _row(line) or {}} - {"step", "time"}
    return curve_of(pairs, sorted({*names, metric} if pairs else names))


def _pairs(path: Path, lines: Sequence[bytes], metric: str) -> list[tuple[float, float]]:
    """Return the steps and the values of rows that have the metric, most of them without reading all of the row."""
    names = [json.dumps(key, ensure_ascii=False).encode(errors="replace") for key in ("step", metric)]
    step, value = (re.compile(re.escape(name) + NUMBER) for name in names)
    pairs: list[tuple[float, float]] = []
    for line in lines:
        # Where no value is a table and nothing is escaped, a key stands once, in quotes, which no text can hold.
        plain = line.count(b"{") == 1 and line.endswith(b"}") and b"\\" not in line
        at, of = (step.search(line), value.search(line)) if plain else (None, None)
        if at and of:
            pairs.append((_number(at[1]), _number(of[1])))
        elif at is None or names[1] in line:
            pairs += _pair(path, line, metric)
    return pairs


def _number(text: bytes) -> float:
    return NO_NUMBERS[text] if text in NO_NUMBERS else float(text)


def _pair(path: Path, line: bytes, metric: str) -> list[tuple[float, float]]:
    """Return the step and the value of a row, if it has the metric."""
    row = _row(line)
    step = None if row is None else row.get("step")
    if row is None or isinstance(step, bool) or not isinstance(step, int | float):
        what = shown(line.decode(errors="replace"), 60)
        raise UserError(
            f'runs: {path} has a line that is no row like {{"step": 2048, "{metric}": 21.5}}: {what}; remove the line'
        )
    value = row.get(metric, "")
    if isinstance(value, str | bool | list | dict):
        return []
    return [(_float(step), math.nan if value is None else _float(value))]


def _float(value: float) -> float:
    """Return a number of JSON as a float; whole numbers have no bounds there."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _row(line: bytes) -> dict[str, Any] | None:
    """Return the table in a line; None: there is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
