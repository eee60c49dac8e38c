"""Writes a run's metrics: TensorBoard's event files to look at, JSON lines to compute with."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = float | str | NDArray[Any]  # a point of a curve, a text, an image [height, width, 3] of bytes


class RunWriter:
    """Writes a run folder.

    Args:
        run_dir: a folder that does not exist yet or is empty.

    Raises:
        ValueError: the folder is not empty, or is a file.
    """

    def __init__(self, run_dir: str | Path) -> None:
        self.run_dir = empty_folder(run_dir)
        with writable("run_dir", self.run_dir):
            self.lines = (self.run_dir / "metrics.jsonl").open("w", buffering=1)
        from torch.utils.tensorboard import SummaryWriter  # takes a second to import

        self.events = SummaryWriter(str(self.run_dir))
        self.started = time.time()

    def config(self, values: Mapping[str, Any]) -> None:
        """Write config.json, and the same to TensorBoard as text."""
        text = json.dumps(values, indent=2, default=_plain)
        (self.run_dir / "config.json").write_text(text + "\n")
        self.events.add_text("config", f"```json\n{text}\n```", 0)

    def write(self, step: int, row: Mapping[str, Value]) -> None:
        """Write a row of metrics; `step` counts environment steps. Images go to the event file alone."""
        line: dict[str, Any] = {"step": step, "time": time.time() - self.started}
        for name, value in row.items():
            if isinstance(value, str):
                self.events.add_text(name, value, step)
                line[name] = value
            elif isinstance(value, np.ndarray) and value.ndim == 3:
                self.events.add_image(name, value, step, dataformats="HWC")
            else:
                number = float(value)
                self.events.add_scalar(name, number, step)
                line[name] = number if math.isfinite(number) else None
        self.lines.write(json.dumps(line) + "\n")

    def close(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json and close the files."""
        (self.run_dir / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
        self.lines.close()
        self.events.close()


def _plain(value: Any) -> Any:  # noqa: ANN401
    return value.tolist() if hasattr(value, "tolist") else str(value)


@contextmanager
def writable(argument: str, folder: Path) -> Iterator[None]:
    """A context that turns OSErrors about `folder` into a ValueError that names the argument."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(
            f"{argument}: {folder} cannot be made or written to ({reason}); give another folder"
        ) from error


def empty_folder(run_dir: str | Path) -> Path:
    """Make the folder if it does not exist, and return it.

    Raises:
        ValueError: it is not empty, is a file, or cannot be made.
    """
    path = Path(run_dir)
    with writable("run_dir", path):
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise ValueError(f"run_dir: {path} exists and is not an empty folder; give a new one")
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
