"""The files of a run's folder: TensorBoard's event files to look at, JSON lines to compute with."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pg_agents.folders import write_file
from pg_agents.manifest import synchronize
from pg_agents.spaces.given_envs import GIVEN
from pg_agents.training.appended import Appended, EventFile, Value
from pg_agents.training.hparams import scores, session_end, session_start
from pg_agents.training.known import chart_of_returns
from pg_agents.training.unwritten import Unwritten

METRICS, CONFIG, SUMMARY = "metrics.jsonl", "config.json", "summary.json"
AGENT, BEST = "agent", "best"  # folders of saved agents
TAIL = 2**16  # bytes at the end of metrics.jsonl, in which its last row is
EVENTS = "TensorBoard's event file"
EARLIER = "earlier"  # in config.json: what it said before the run went on with something else
NOTHING = {"seconds": 0.0, "bytes": {METRICS: 0}}  # the position of a run that has not begun


class RunFiles:
    """The files of a run: config.json, metrics.jsonl, TensorBoard's event files and summary.json.

    What cannot be written once the run has begun is noted in `unwritten`, and is no error.

    Args:
        run_dir: the folder, which exists.
        mode: of metrics.jsonl: "x": it is new; "a": what is there stays.
        unwritten: takes notes of what cannot be written.
        name: of the folder in the notes: "seed-3/"; "" if it is theirs.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, run_dir: Path, mode: str, unwritten: Unwritten, name: str = "") -> None:
        self.run_dir, self.unwritten, self.name = run_dir, unwritten, name
        self.lines = Appended(run_dir / METRICS, mode)
        self.started = time.time()

    @cached_property
    def events(self) -> EventFile:
        """What TensorBoard shows; the file is made when it is first used, since that takes a second."""
        return EventFile(self.run_dir)

    def config(self, values: Mapping[str, Any]) -> None:
        """Write config.json, and the same to TensorBoard as text and as hyperparameters.

        Raises:
            ValueError: it cannot be written, so that the run must not begin.
        """
        with writable("run_dir", self.run_dir):
            write_file(self.run_dir / CONFIG, self.noted(values))

    def noted(self, values: Mapping[str, Any]) -> str:
        """Return what config.json is to say, which is in TensorBoard's file by then.

        Raises:
            OSError: that cannot be written.
        """
        text = json.dumps(values, indent=2, default=plain)
        records = [session_start(self.run_dir, json.loads(text))]
        records += [chart_of_returns(values["agent"])] if "agent" in values else []  # estimators are measured without
        self.events.write(0, {"config": f"```json\n{text}\n```"}, records)
        return text + "\n"

    def goes_on(self, values: Mapping[str, Any], steps: int) -> None:
        """Write `values` to config.json; what they replace stands in its list "earlier", with the step until which.

        Raises:
            ValueError: it cannot be written.
        """
        path = self.run_dir / CONFIG
        before = json.loads(path.read_text(encoding="utf-8"))
        now = json.loads(json.dumps(values, default=plain))
        if "env_args" in before:
            now.pop(GIVEN, None)  # it was made of its id
        if replaced := _replaced(before, now):
            earlier = [*before.get(EARLIER, []), {"until_step": steps, **replaced}]
            with writable("run_dir", self.run_dir):
                write_file(path, json.dumps({**before, **now, EARLIER: earlier}, indent=2) + "\n")

    def write(self, step: int, row: Mapping[str, Value]) -> None:
        """Write a row of metrics; `step` counts environment steps. Images go to the event file alone."""
        line: dict[str, Any] = {"step": step, "time": time.time() - self.started}
        for name, value in row.items():
            if isinstance(value, str):
                line[name] = value
            elif not (isinstance(value, np.ndarray) and value.ndim == 3):
                line[name] = float(value) if math.isfinite(float(value)) else None
        with self.unwritten.tolerated(f"{self.name}{METRICS}"):
            self.lines.append((json.dumps(line) + "\n").encode())
        with self.unwritten.tolerated(f"{self.name}{EVENTS}"):
            self.events.write(step, row)

    def position(self) -> dict[str, Any]:
        """Return how much has been written, once the disk has it: `go_back` returns to there."""
        synchronize(self.places())
        return self.sizes()

    def places(self) -> list[Path]:
        """Return the files that grow, and their folder, as far as they are there."""
        files = [file for file in (self.run_dir / METRICS, *event_files(self.run_dir)) if file.is_file()]
        return [*files, *([self.run_dir] if self.run_dir.is_dir() else [])]

    def sizes(self) -> dict[str, Any]:
        """Return what has been written, on the disk or not yet."""
        files = [place for place in self.places() if place != self.run_dir]
        return {"seconds": time.time() - self.started, "bytes": {file.name: file.stat().st_size for file in files}}

    def go_back(self, position: Mapping[str, Any]) -> list[str]:
        """Remove from the folder what was written after `position`; a summary is removed too, as the run goes on.

        Event files that are longer are replaced in one step, as TensorBoard may be reading them; metrics.jsonl, which
        this process holds, is cut off where it is, or behind its last whole line. Return what of that which had been
        written until then is missing, as texts.

        Raises:
            ValueError: the disk is full or read-only; nothing that was written before `position` is lost.
        """
        sizes = position["bytes"]
        missing = [text for name, size in sizes.items() if (text := _missing(self.run_dir / name, size))]
        with writable("run_dir", self.run_dir):
            for file in event_files(self.run_dir):
                if file.name not in sizes:
                    file.unlink()
                elif file.stat().st_size > sizes[file.name]:
                    with file.open("rb") as stream:
                        kept = stream.read(sizes[file.name])
                    write_file(file, kept)
            _keep_lines(self.run_dir / METRICS, sizes.get(METRICS, 0))
            (self.run_dir / SUMMARY).unlink(missing_ok=True)
        self.started = time.time() - position["seconds"]
        return missing

    def score(self, summary: Mapping[str, Any]) -> None:
        """Write to TensorBoard how the run has ended, and the final scores that its summary has."""
        with self.unwritten.tolerated(f"{self.name}{EVENTS}"):
            self.events.write(summary["total_steps"], scores(summary), [session_end(summary)])

    def summarize(self, summary: Mapping[str, Any]) -> None:
        """Write summary.json."""
        with self.unwritten.tolerated(f"{self.name}{SUMMARY}"):
            write_file(self.run_dir / SUMMARY, summary_text(summary))


def summary_text(summary: Mapping[str, Any]) -> str:
    """Return what summary.json says."""
    return json.dumps(summary, indent=2) + "\n"


def _missing(file: Path, size: int) -> str:
    found = file.stat().st_size if file.is_file() else 0
    return f"{file.name} has {found:,} of {size:,} bytes" if found < size else ""


def _keep_lines(file: Path, size: int) -> None:
    """Cut a file off behind `size` bytes, or behind its last whole line if it is shorter."""
    if file.stat().st_size < size:
        size = file.read_bytes().rfind(b"\n") + 1
    os.truncate(file, size)


def newest_row(run_dir: Path) -> dict[str, Any]:
    """Return the newest row of metrics that a run has written; {}: it has written none."""
    try:
        with (run_dir / METRICS).open("rb") as file:
            file.seek(-min(TAIL, file.seek(0, os.SEEK_END)), os.SEEK_END)
            lines = file.read().splitlines(keepends=True)
        row: Any = next((json.loads(line) for line in reversed(lines) if line.endswith(b"\n")), {})
        return row if isinstance(row, dict) and isinstance(row.get("step"), int) else {}
    except (OSError, ValueError):
        return {}


def steps_written(run_dir: Path) -> int:
    """Return the steps after which a run has written its newest row of metrics; 0: it has written none."""
    return newest_row(run_dir).get("step", 0)


def event_files(run_dir: Path) -> list[Path]:
    """Return TensorBoard's files in a run folder, the oldest first."""
    return sorted(run_dir.glob("events.out.tfevents.*"))


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return a value that JSON cannot write in a form that it can."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


@contextmanager
def writable(argument: str, folder: Path) -> Iterator[None]:
    """A context that turns OSErrors about `folder` into a ValueError that names the argument."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or (os.strerror(error.errno) if error.errno else str(error) or type(error).__name__)
        raise ValueError(
            f"{argument}: {folder} cannot be made or written to ({reason}); give another folder"
        ) from error


def _replaced(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that `now` replaces; of a table of arguments only those that are others."""
    found: dict[str, Any] = {}
    for name, value in now.items():
        then = before.get(name)
        if then == value:
            continue
        found[name] = then
        if isinstance(then, dict) and isinstance(value, dict):
            found[name] = {key: one for key, one in then.items() if value.get(key) != one}
    return found
