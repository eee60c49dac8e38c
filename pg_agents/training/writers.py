"""Run folders: one process at a time writes a folder, and those of a run's learners in it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pg_agents.locks import TAKEN, lock, release
from pg_agents.manifest import synchronize
from pg_agents.training.batches import place_of_learners
from pg_agents.training.run_files import METRICS, NOTHING, RunFiles, writable
from pg_agents.training.unwritten import Unwritten


class RunWriter(RunFiles):
    """Writes a run folder, which it alone writes until it is closed.

    Args:
        run_dir: a folder that does not exist yet or is empty; with `resume`, one that a writer has written.
        resume: go on with what is there. Call `go_back` before anything is written.

    Attributes:
        within: files of the folders in it, by their names; `position` and `go_back` are theirs, too.

    Raises:
        ValueError: the folder is not empty, is a file, or is being written by another process.
    """

    def __init__(self, run_dir: str | Path, *, resume: bool = False) -> None:
        folder = Path(run_dir) if resume else empty_folder(run_dir)
        with writable("run_dir", folder):
            super().__init__(folder, "a" if resume else "x", Unwritten(folder))
        self.claim = lock(folder / METRICS)
        if self.claim == TAKEN:
            raise being_written(folder)
        self.within: dict[str, RunFiles] = {}

    def divide(self, names: Iterable[str]) -> None:
        """Write folders of these names, too; those that are there go on. They are in this one, or beside it.

        Raises:
            ValueError: they cannot be made or written to, or one of them is being written by another process.
        """
        place = place_of_learners(self.run_dir)
        for name in names:
            folder = place / name
            with writable("run_dir", folder):
                folder.mkdir(exist_ok=True)
                self.within[name] = RunFiles(folder, "a", self.unwritten, f"{name}/")
            if is_written(folder):
                raise being_written(folder)

    def position(self) -> dict[str, Any]:
        """Return how much has been written, once the disk has it: `go_back` returns to there."""
        every = [self, *self.within.values()]
        synchronize([place for files in every for place in files.places()])
        return self.sizes() | {"within": {name: files.sizes() for name, files in self.within.items()}}

    def go_back(self, position: Mapping[str, Any]) -> list[str]:
        """Do as `RunFiles.go_back`, in the folders within, too."""
        missing = super().go_back(position)
        before = position.get("within", {})
        for name, files in self.within.items():
            missing += [f"{name}/{text}" for text in files.go_back(before.get(name, NOTHING))]
        return missing

    def close(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json, and let others write the folder."""
        self.summarize(summary)
        self.leave()
        self.unwritten.warn()

    def leave(self) -> None:
        """Let others write the folder."""
        release(self.claim)
        self.claim = None


def is_written(run_dir: Path) -> bool:
    """Return whether another process writes the run folder."""
    claim = lock(run_dir / METRICS)
    if claim == TAKEN:
        return True
    release(claim)
    return False


def being_written(run_dir: Path) -> ValueError:
    """Return the error for a folder that another process writes."""
    return ValueError(f"run_dir: {run_dir} is being written by another process; give another folder")


def empty_folder(run_dir: str | Path, *, argument: str = "run_dir") -> Path:
    """Make the folder, which was given as `argument`, if it does not exist, and return it.

    Raises:
        ValueError: it is not empty, is a file, or cannot be made.
    """
    path = Path(run_dir)
    with writable(argument, path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f"{argument}: {path} exists and is not an empty folder; give a new one")
        path.mkdir(parents=True, exist_ok=True)
    return path


def fresh_run_dir(name: str, root: str | Path = "runs", *, argument: str = "run_dir") -> Path:
    """Make and return a new folder root/name-date-time, with a number appended if that exists already.

    Raises:
        ValueError: `root`, which was given as `argument`, is a file or cannot be written to.
    """
    stem = f"{name.replace('/', '-').replace(':', '-')}-{time.strftime('%Y%m%d-%H%M%S')}"
    for attempt in range(1000):
        path = Path(root) / (stem if attempt == 0 else f"{stem}-{attempt}")
        with writable(argument, Path(root)):
            Path(root).mkdir(parents=True, exist_ok=True)
            try:
                path.mkdir()
            except FileExistsError:
                continue
        return path
    raise ValueError(f"run_dir: {root} has a thousand runs called {stem}; give another folder")
