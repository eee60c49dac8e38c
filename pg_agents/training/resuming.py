"""Going on with a run that was stopped, from its newest checkpoint that is not damaged."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from pg_agents.checkpoints.store import newest_good
from pg_agents.data.shares import ALONE, Ranks
from pg_agents.errors import SavedFilesError
from pg_agents.folders import sweep
from pg_agents.training.checkpointing import FOLDER
from pg_agents.training.going_on import Beside, Opened
from pg_agents.training.learner_apart import apart
from pg_agents.training.plan import Plan
from pg_agents.training.ranks import first_opens
from pg_agents.training.run_files import CONFIG, METRICS, NOTHING, SUMMARY
from pg_agents.training.writers import RunWriter


@contextmanager
def run_folder(run_dir: str | Path | None, resume: bool, ranks: Ranks = ALONE) -> Iterator[Opened | Beside | None]:
    """A context with a run's folder, open for writing on rank 0; None without one.

    Args:
        run_dir: a new or empty folder; with `resume` one that holds a run, too.
        resume: go on with the run that is there.
        ranks: the processes of the run.

    Raises:
        ValueError: the folder is not empty, is a file, or is being written by another process; with `resume` it holds
            something, but no checkpoint.
        SavedFilesError: all checkpoints are damaged.
    """
    if run_dir is None:
        if resume:
            raise ValueError("resume needs the run's folder: give run_dir=…")
        yield None
        return
    with first_opens(ranks, _open(run_dir, resume)) as opened:
        yield _beside(Path(run_dir), resume) if ranks.number else opened


@contextmanager
def _open(run_dir: str | Path, resume: bool) -> Iterator[Opened]:
    found = resume and Path(run_dir).is_dir() and any(Path(run_dir).iterdir())
    with _writing(run_dir, found) as writer:
        yield _found(writer) if found else Opened(writer)


def _beside(run_dir: Path, resume: bool) -> Beside:
    checkpoint = newest_good(run_dir / FOLDER)[0] if resume else None
    return Beside(run_dir / FOLDER, checkpoint, _ended_in_order(run_dir))


@contextmanager
def _writing(run_dir: str | Path, found: bool) -> Iterator[RunWriter]:
    if found and not (Path(run_dir) / METRICS).is_file() and not (Path(run_dir) / FOLDER).is_dir():
        raise ValueError(
            f"run_dir: {run_dir} is not empty, and holds no run ({METRICS} is missing); give another folder"
        )
    made = not Path(run_dir).exists()
    writer = RunWriter(run_dir, resume=found)
    try:
        yield writer
    finally:
        writer.leave()
        with suppress(OSError):
            if not found and not (writer.run_dir / CONFIG).exists():  # it has failed before it began
                for files in writer.within.values():
                    (files.run_dir / METRICS).unlink()
                    files.run_dir.rmdir()
                (writer.run_dir / METRICS).unlink()
                if made:
                    writer.run_dir.rmdir()


def as_before(
    folder: Opened | Beside | None, plan: Plan, log_every: int | None, eval_every: int | None
) -> tuple[Plan, int | None]:
    """Return a plan, and the steps between evaluations, with those of the run before where none were given."""
    if folder is None or folder.checkpoint is None:
        return plan, eval_every
    before = folder.checkpoint.run
    if log_every is None:
        plan = replace(plan, log_every=before["plan"]["log_every"])
    return plan, before["evaluations"]["every"] if eval_every is None else eval_every


def _found(writer: RunWriter) -> Opened:
    """Return what there is to go on from in a run's folder."""
    folder = writer.run_dir / FOLDER
    for swept in filter(Path.is_dir, (writer.run_dir, folder)):
        sweep(swept)
    checkpoint, wrong = newest_good(folder)
    if checkpoint is None and wrong:
        raise SavedFilesError(f"{wrong[0]}, and there is no other that is not; begin the run again in another folder")
    for text in wrong:
        warnings.warn(f"{text}; the one before is used", RuntimeWarning, stacklevel=4)
    if checkpoint is not None:
        return Opened(writer, checkpoint, _ended_in_order(writer.run_dir))
    if (of_several := apart(writer.run_dir)) is not None:
        checkpoint, learner = of_several.newest()
        return Opened(writer, checkpoint, _ended_in_order(writer.run_dir), learner)
    if (writer.run_dir / METRICS).stat().st_size:
        raise ValueError(f"run_dir: {writer.run_dir} holds a run without checkpoints; give another folder")
    writer.go_back(NOTHING)
    return Opened(writer)


def _ended_in_order(run_dir: Path) -> bool:
    try:
        return json.loads((run_dir / SUMMARY).read_text(encoding="utf-8"))["cut_off"] is None
    except (OSError, LookupError, TypeError, ValueError, RecursionError):
        return False
