"""What a card says of a run, read from the run's folder, which may come from anybody."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_agents.agents.common.files import verify_agent
from pg_agents.errors import SavedFilesError, UserError
from pg_agents.manifest import read_json
from pg_agents.training.run_files import AGENT, BEST, CONFIG, METRICS, SUMMARY

PLACE = re.compile(r"(?<![\w./\\~-])(?:~|[A-Za-z]:(?=[\\/]))?(?:[\\/][^\\/\s'\":;,()]+)+[\\/]?")  # an absolute path
KNOWN = {"optimal": "rollout/optimal_return", "random": "rollout/random_return"}
WITHOUT = ("track", "parameters", "torch")  # of config.json: whoever trains again does so without our tracker


@dataclass(frozen=True)
class RunFolder:
    """A run that has ended.

    Attributes:
        path: its folder.
        config: what config.json says, without places on this machine.
        summary: what summary.json says, the same.
        agents: the folders in it that hold agents.
        known: returns of the best and of the random policy, as far as its rows say them.
        evaluation: mean, standard deviation and steps of the last evaluation; None: there was none.
    """

    path: Path
    config: dict[str, Any]
    summary: dict[str, Any]
    agents: tuple[str, ...]
    known: dict[str, float]
    evaluation: tuple[float, float, int] | None

    @property
    def seeds(self) -> list[int]:
        """The seeds of several learners; one of one."""
        seeds = self.summary.get("seeds") or [self.summary["seed"]]
        return [seed for seed in seeds if isinstance(seed, int)]


def read_run(path: Path) -> RunFolder:
    """Return what a run's folder says.

    Raises:
        UserError: it is no run's, the run has not ended, or its agent is not there.
        SavedFilesError: the agent is damaged.
    """
    if not (path / CONFIG).is_file():
        raise UserError(f"path: {path} holds no run (no {CONFIG}); give a folder that train wrote")
    config, summary = _table(path, CONFIG), {}
    if config.get("way") == "processes":
        raise UserError(f"path: each seed in {path} has a run of its own; give one of them, like {path / 'seed-0'}")
    if not (path / SUMMARY).is_file():
        raise UserError(f"path: the run in {path} has not ended (no {SUMMARY}); wait for its end, or resume it")
    summary = _table(path, SUMMARY)
    verify_agent(path / AGENT)
    agents = (AGENT, BEST) if (path / BEST).is_dir() else (AGENT,)
    for name in agents[1:]:
        verify_agent(path / name)
    if not all(isinstance(config.get(name), str) for name in ("agent", "env")) or "seed" not in summary:
        raise UserError(f"path: {path / CONFIG} or {SUMMARY} is damaged or not of this program")
    own = {name: value for name, value in config.items() if name not in WITHOUT}
    rows = _rows(path / METRICS)
    known = {name: value for name, tag in KNOWN.items() if (value := _last(rows, tag)) is not None}
    return RunFolder(path, without_places(own), without_places(summary), agents, known, _evaluation(rows))


def without_places(value: Any) -> Any:  # noqa: ANN401
    """Return a value of JSON in which absolute paths have become the names at their ends."""
    if isinstance(value, str):
        return PLACE.sub(lambda match: re.split(r"[\\/]", match[0].rstrip("\\/"))[-1], value)
    if isinstance(value, dict):
        return {without_places(name): without_places(entry) for name, entry in value.items()}
    return [without_places(entry) for entry in value] if isinstance(value, list) else value


def _table(path: Path, name: str) -> dict[str, Any]:
    try:
        found = read_json(path, name)
    except SavedFilesError as error:
        raise UserError(f"path: {path / name} is damaged or not of this program ({error})") from error
    if not isinstance(found, dict):
        raise UserError(f"path: {path / name} is damaged or not of this program (it holds no table)")
    return found


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl, without what is none."""
    found = []
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        found += [row] if isinstance(row, dict) and isinstance(row.get("step"), int) else []
    return found


def _last(rows: list[dict[str, Any]], name: str) -> float | None:
    values = (row[name] for row in reversed(rows) if name in row)
    return next((float(value) for value in values if isinstance(value, int | float) and math.isfinite(value)), None)


def _evaluation(rows: list[dict[str, Any]]) -> tuple[float, float, int] | None:
    last = [row for row in rows if "eval/ep_rew_mean" in row][-1:]
    mean, std = _last(last, "eval/ep_rew_mean"), _last(last, "eval/ep_rew_std")
    return None if mean is None or std is None else (mean, std, last[0]["step"])
