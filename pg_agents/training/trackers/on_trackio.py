"""Trackio: files of this machine, which `trackio show` shows, or a Space of Hugging Face (TRACKIO_SPACE_ID)."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import redirect_stdout

import trackio

from pg_agents.training.trackers.protocol import PROJECT, Start


class TrackioWriter:
    """A run of trackio, which goes on by its name; see `Tracker`."""

    def __init__(self, start: Start) -> None:
        project = os.environ.get("TRACKIO_PROJECT", PROJECT)
        with redirect_stdout(io.StringIO()):  # it prints what `where` says
            self.run = trackio.init(
                project,
                start.run_id or start.name,
                group=start.group,
                config=dict(start.config),
                resume="never" if start.run_id is None else "allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
        self.run_id = self.run.name
        self.where = f"run {self.run_id}; trackio show --project {project} shows it"

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self.run.log(dict(numbers), step=step)

    def close(self, step: int, results: Mapping[str, float | str], *, failed: bool) -> None:
        """See `Tracker`."""
        self.run.log({**results, "summary/failed": float(failed)}, step=step)
        with redirect_stdout(io.StringIO()):
            self.run.finish()
