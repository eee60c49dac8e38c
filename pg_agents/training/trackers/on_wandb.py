"""Weights & Biases: online where there is a key, else in the run's folder, from which `wandb sync` sends it later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import wandb

from pg_agents.training.trackers.protocol import PROJECT, Start

QUIET: dict[str, Any] = {"console": "off", "silent": True, "x_disable_stats": True, "disable_git": True}


class WandbWriter:
    """A run of wandb; see `Tracker`."""

    def __init__(self, start: Start) -> None:
        mode: Any = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
        self.run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=start.name,
            group=start.group,
            dir=start.run_dir,
            config=dict(start.config),
            id=start.run_id,
            resume="allow",
            mode=mode,
            reinit="create_new",
            settings=wandb.Settings(**QUIET, save_code=False),
        )
        self.run_id = self.run.id
        self.where = self.run.url or f"offline; wandb sync {start.run_dir / 'wandb' / '*-run-*'} sends it"

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self.run.log(dict(numbers), step=step)

    def close(self, step: int, results: Mapping[str, float | str], *, failed: bool) -> None:
        """See `Tracker`."""
        self.run.summary.update(dict(results))
        self.run.finish(exit_code=int(failed))
