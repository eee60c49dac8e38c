"""Curves of runs from the files in their folders."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

from pg_agents.comparison.curve import Curve
from pg_agents.comparison.json_lines import from_json_lines
from pg_agents.comparison.tables import env_of, from_logger, from_monitors
from pg_agents.errors import UserError
from pg_agents.training.run_files import METRICS

LOGGER, MONITOR = "progress.csv", "monitor.csv"  # Stable-Baselines3's files


def monitors(folder: Path) -> list[Path]:
    """Return the files of Stable-Baselines3's Monitor in a folder: monitor.csv, or one for each environment."""
    return [
        path for path in sorted(folder.glob(f"*{MONITOR}")) if path.name == MONITOR or path.name.endswith("." + MONITOR)
    ]


def is_run(folder: Path) -> bool:
    """Return whether a folder holds a file of metrics."""
    return any((folder / name).is_file() for name in (METRICS, LOGGER)) or bool(monitors(folder))


def read_curve(folder: Path, metric: str) -> Curve:
    """Return a metric of the run in a folder; it is empty where no row has it.

    Read is the first that is there of metrics.jsonl, progress.csv and the files of monitors.

    Raises:
        UserError: a file is damaged, or cannot be read.
    """
    try:
        if (folder / METRICS).is_file():
            return from_json_lines(folder / METRICS, metric)
        found = monitors(folder)
        if (folder / LOGGER).is_file():
            curve = from_logger(folder / LOGGER, metric)
            return replace(curve, env=env_of(found[0])) if found else curve
        return from_monitors(found, metric)
    except csv.Error as error:
        raise UserError(f"runs: a table in {folder} is damaged ({error}); leave it out") from error
    except OSError as error:
        raise UserError(f"runs: {error.filename} cannot be read ({error.strerror}); leave {folder} out") from error
