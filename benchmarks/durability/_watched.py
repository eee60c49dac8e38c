"""The time of checkpoints, whole and in parts, while a run writes them."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from pkgutil import resolve_name
from statistics import median
from typing import Any
from unittest.mock import patch

import pg_agents as pg
from pg_agents.checkpoints.store import checkpoints_in
from pg_agents.training.checkpointing import Checkpoints

CLOCKS = ("wall", "processor")
PARTS = {  # of a checkpoint's time, by the functions that take it, none of which calls another
    "state": ("pg_agents.training.checkpointing.run_state", "pg_agents.training.checkpointing.agent_state"),
    "tensors": ("pg_agents.checkpoints.store.write_tensors",),
    "hash": ("pg_agents.manifest.sha256",),
    "fsync": tuple(f"pg_agents.{module}.synchronize" for module in ("manifest", "folders", "training.writers")),
    "delete": ("pg_agents.training.checkpointing.keep_newest",),
}
ABOUT = {
    "state": "collecting what the run and the agent are",
    "tensors": "writing parameters and moments, while their SHA-256 is computed in a thread",
    "hash": "the SHA-256 of the other files",
    "fsync": "waiting for the disk",
    "delete": "deleting the oldest checkpoint",
    "rest": "everything else: JSON, the manifest, temporary folders, renames",
}
Laps = list[dict[str, dict[str, float]]]  # of each checkpoint: wall and processor seconds of each part


@contextmanager
def lap(spent: Counter[str]) -> Iterator[None]:
    """Add the time of a block, of the wall and of all of this process's threads."""
    wall, processor = time.perf_counter(), time.process_time()
    try:
        yield
    finally:
        spent["wall"] += time.perf_counter() - wall
        spent["processor"] += time.process_time() - processor


@contextmanager
def watched() -> Iterator[Laps]:
    """Time each checkpoint that is written meanwhile, whole and in parts."""
    laps: Laps = []
    now: dict[str, Counter[str]] = {}

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401
            with lap(now.setdefault(part, Counter())):
                return function(*arguments, **named)

        return call

    whole = timed("all", Checkpoints.save)

    def save(checkpoints: Checkpoints, run: pg.Run) -> None:
        now.clear()
        whole(checkpoints, run)
        laps.append({part: dict(spent) for part, spent in now.items()})

    with ExitStack() as patches:
        for part, functions in PARTS.items():
            for place in functions:
                patches.enter_context(patch(place, timed(part, resolve_name(place))))
        patches.enter_context(patch.object(Checkpoints, "save", save))
        yield laps


def figures(laps: Laps, folder: Path, interval: float) -> dict[str, Any]:
    """Return median and worst of the checkpoints, their parts, their bytes, and their share of an interval."""
    learned = laps[1:]  # the first is written before anything is learned, without moments
    for one in learned:
        parts = [one.setdefault(part, {"wall": 0.0, "processor": 0.0}) for part in PARTS]
        one["rest"] = {clock: one["all"][clock] - sum(part[clock] for part in parts) for clock in CLOCKS}
    medians = {part: {clock: median(one[part][clock] for one in learned) for clock in CLOCKS} for part in ABOUT}
    wall, processor = (sorted(one["all"][clock] for one in learned) for clock in CLOCKS)
    newest = list(checkpoints_in(folder / "checkpoints"))[-1]
    return {
        "checkpoints": len(learned),
        "wall": {"median": median(wall), "worst": wall[-1]},
        "processor": {"median": median(processor), "worst": processor[-1]},
        "bytes": sum(file.stat().st_size for file in newest.iterdir()),
        "parts": medians,
        "interval": interval,
        "share": {
            "wall": median(wall) / interval,
            "worst": wall[-1] / interval,
            "processor": median(processor) / interval,
        },
        "load": list(os.getloadavg()),
    }
