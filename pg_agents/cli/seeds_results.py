"""What several seeds of a run returned: their folders' summaries, read and joined in their parent's."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pg_envs

from pg_agents.cli.listing import columns
from pg_agents.folders import write_file
from pg_agents.training.appended import EventFile
from pg_agents.training.hparams import scores, session_end, session_start
from pg_agents.training.learners_progress import folder_of
from pg_agents.training.over_seeds import EVALUATION, LAST, LEVEL, PROCESSES, over_seeds
from pg_agents.training.run_files import CONFIG, SUMMARY, event_files

FEW = 5  # seeds, with fewer of which an interval holds what it is to hold less often than it says
MEASURES = {LAST: "last 100 episodes", EVALUATION: "last evaluation"}


def summarize(parent: Path, seeds: Sequence[int], way: str) -> dict[str, Any]:
    """Write what the seeds' runs returned into their parent's summary.json, beside what is there; return that.

    It is what `over_seeds` returns of the summaries in their folders. Seeds whose runs have failed count with what they
    had reached. In the way of processes `cut_off` names the first seed whose run has not finished; None: all have; and
    the parent gets an event file, with what TensorBoard's HPARAMS tab shows of all seeds.
    """
    runs = [read_json(parent / folder_of(seed) / SUMMARY) or {} for seed in seeds]
    added = over_seeds(seeds, way, runs)
    if way == PROCESSES:
        ended = {seed: run.get("cut_off", "it has no summary") for seed, run in zip(seeds, runs, strict=True)}
        added["cut_off"] = next((f"seed {seed}: {why}" for seed, why in ended.items() if why is not None), None)
    config = read_json(parent / CONFIG)
    if config is not None:
        try:
            write_file(parent / SUMMARY, json.dumps((read_json(parent / SUMMARY) or {}) | added, indent=2) + "\n")
            if way == PROCESSES and isinstance(config.get("total_steps"), int):
                _show_in_tensorboard(parent, config, added)
        except OSError as error:
            warnings.warn(f"{parent / SUMMARY} could not be written ({error.strerror})", RuntimeWarning, stacklevel=2)
    return added


def _show_in_tensorboard(parent: Path, config: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Write the parent's event file, in the place of one that is there."""
    for before in event_files(parent):
        before.unlink()
    records = session_start(parent, config), session_end(summary)
    EventFile(parent).write(config["total_steps"], scores(summary), records)


def read_json(path: Path) -> dict[str, Any] | None:
    """Return the table in a file; None: there is none, or a damaged one."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    except (OSError, ValueError, RecursionError):
        return None


def has_finished(run_dir: Path, total_steps: int) -> bool:
    """Return whether a run has taken so many steps, or was to, and was stopped before by what it returned."""
    found = read_json(run_dir / SUMMARY) or {}
    if found.get("cut_off", "") is not None:
        return False
    planned = found if found.get("stopped") is None else read_json(run_dir / CONFIG) or {}
    return isinstance(steps := planned.get("total_steps"), int) and steps >= total_steps


def table(found: Mapping[str, Any], known: pg_envs.KnownReturns) -> str:
    """Return what `summarize` has found as a table, beside the known returns, as text."""
    over = found["over_seeds"].values()
    head = ["seed", *(MEASURES[name] for name in found["over_seeds"])]
    rows = [[str(seed), *map(_number, values)] for seed, *values in _rows(found)]
    rows += [["IQM", *(_number(one["interquartile_mean"]) for one in over)]]
    rows += [[f"{100 * LEVEL:.0f} %", *(f"{_number(one['low'])} … {_number(one['high'])}" for one in over)]]
    if known.per == "episode":
        for name, value in (("random", known.random), ("optimal", known.optimal)):
            rows += [] if value is None else [[name, *(_number(value) for _ in over)]]
    text = columns(head, rows, right=range(1, len(head)))
    count = len(found["seeds"])
    few = f"\nonly {count} seed{'s' * (count > 1)}: an interval needs {FEW} or more to be what it says"
    return text + (few if count < FEW else "")


def _rows(found: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    return list(zip(found["seeds"], *(one["each"] for one in found["over_seeds"].values()), strict=True))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
