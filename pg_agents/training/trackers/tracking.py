"""What a run sends to its tracker: it goes on if the tracker fails, and goes on there when it is resumed."""

from __future__ import annotations

import importlib.util
import json
import math
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from pg_agents.errors import UserError
from pg_agents.extras import install_line
from pg_agents.folders import write_file
from pg_agents.shown import nearest, printable, shortened
from pg_agents.training.appended import Value
from pg_agents.training.hparams import OF_A_SEED, scores
from pg_agents.training.run_files import plain, steps_written
from pg_agents.training.trackers.protocol import Start, Tracker

TRACKERS = {"wandb": "WandbWriter", "mlflow": "MlflowWriter", "trackio": "TrackioWriter"}
HERE = "pg_agents.training.trackers"
KEPT = "tracker.json"  # in a run's folder: the tracker's id of the run, by the tracker's name
RESULTS = "episodes", "recent_episodes", "wall_seconds", "steps_per_second", "total_steps", "stopped", "cut_off"


def check_tracker(name: str | None, run_dir: str | Path | None = "") -> None:
    """Raise UserError if there is no tracker of that name, its package is not installed, or there is no run folder."""
    if name is None:
        return
    if run_dir is None:
        raise UserError(f"track: {name!r} gets what is written to the run's folder; give run_dir too")
    if name not in TRACKERS:
        near = nearest(str(name), TRACKERS, 1)
        known = f"did you mean {near[0]}?" if near else f"known: {', '.join(TRACKERS)}"
        raise UserError(f"track: there is no tracker {name!r}; {known}")
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:  # without an origin it is a folder of that name, like wandb's own
        raise UserError(f"track: {name} is not installed: {install_line(name)}")


@dataclass
class Tracking:
    """Sends a run to a tracker.

    Args:
        name: of the tracker, one of `TRACKERS`.
        run_dir: the run's folder, as the run that goes on has left it: rows that are in it have been sent.
    """

    name: str
    run_dir: Path
    tracker: Tracker | None = None
    before: str | None = field(init=False)
    sent: int = field(init=False)
    step: int = 0

    def __post_init__(self) -> None:
        self.before = _ids(self.run_dir).get(self.name)
        self.sent = -1 if self.before is None else steps_written(self.run_dir) or -1

    def begin(self, config: Mapping[str, Any]) -> str:
        """Begin a run at the tracker, or go on with it, and return where it is to be seen.

        Raises:
            UserError: the tracker failed, so that the run must not begin.
        """
        folder = self.run_dir.resolve()
        group = folder.parent.name if OF_A_SEED.fullmatch(folder.name) else None
        name = folder.name if group is None else f"{group}/{folder.name}"
        start = Start(name, group, self.run_dir, json.loads(json.dumps(config, default=plain)), self.before)
        try:
            writer: Callable[[Start], Tracker] = getattr(import_module(f"{HERE}.on_{self.name}"), TRACKERS[self.name])
            self.tracker = writer(start)
            write_file(self.run_dir / KEPT, json.dumps(_ids(self.run_dir) | {self.name: self.tracker.run_id}) + "\n")
        except Exception as error:
            if self.before is None:
                shutil.rmtree(self.run_dir / self.name, ignore_errors=True)  # what it has left in a new folder
            hint = "; WANDB_MODE=offline needs no network" if self.name == "wandb" else ""
            raise UserError(f"track: {self.name} cannot begin a run ({_reason(error)}){hint}") from error
        return f"{self.name}  {self.tracker.where}"

    def write(self, step: int, row: Mapping[str, Value]) -> None:
        """Send the finite numbers of a row of metrics; texts and pictures stay in the folder."""
        self.step = max(self.step, step)
        numbers = {name: float(value) for name, value in row.items() if _is_finite(value)}
        if step > self.sent and numbers:
            self._send(lambda tracker: tracker.write(step, numbers))

    def close(self, summary: Mapping[str, Any]) -> None:
        """Send what the summary says, of several learners what they return together."""
        results = {f"summary/{name}": summary[name] for name in RESULTS if summary[name] is not None} | scores(summary)
        self._send(lambda tracker: tracker.close(self.step, results, failed=summary["cut_off"] is not None))

    def _send(self, send: Callable[[Tracker], None]) -> None:
        """Send something, unless the tracker has failed before: its first error is a warning, and its end."""
        if self.tracker is None:
            return
        try:
            send(self.tracker)
        except Exception as error:
            self.tracker = None
            text = f"track: {self.name} has failed ({_reason(error)}); the run goes on without it"
            warnings.warn(text, RuntimeWarning, stacklevel=3)


def _ids(run_dir: Path) -> dict[str, str]:
    """Return the ids that a run has at trackers, by their names, as far as its folder says."""
    try:
        found = json.loads((run_dir / KEPT).read_text(encoding="utf-8"))
        return {name: run_id for name, run_id in found.items() if isinstance(run_id, str)}
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}


def _is_finite(value: Value) -> bool:
    numbers = not isinstance(value, str) and not (isinstance(value, np.ndarray) and value.ndim)
    return numbers and math.isfinite(float(value))


def _reason(error: Exception) -> str:
    return shortened(printable(f"{type(error).__name__}: {error}"), 400)
