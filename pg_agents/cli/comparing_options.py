"""The options of the commands that compare runs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

RunPaths = Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN")]


@dataclasses.dataclass(kw_only=True)
class RunsOptions:
    """Which runs are compared, and by what."""

    runs: RunPaths
    """Folders of runs, or of several: as train wrote them, or with a metrics.jsonl of rows like
    {"step": 2048, "rollout/ep_rew_mean": 21.5}, or with Stable-Baselines3's progress.csv or monitor.csv."""
    by: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A setting whose values make the groups: agent, seed, folder, or one of config.json like learning_rate; may be
    given several times. By default the agent and what differs between its runs."""
    metric: str = "rollout/ep_rew_mean"
    """The metric, like eval/ep_rew_mean."""
    title: str | None = None
    """Stands above."""


@dataclasses.dataclass(kw_only=True)
class CompareOptions(RunsOptions):
    """Compare runs: a table with intervals over seeds, learning curves with bands, and a page that has both."""

    out: Path | None = None
    """The folder for comparison.html, .png and .svg; by default a new one under runs/."""
    against: str | None = None
    """The group, as it is called in the table, that the others are held against; by default the first."""
    json: bool = False
    """Write JSON to standard output, and no files unless --out is given."""


@dataclasses.dataclass(kw_only=True)
class PlotOptions(RunsOptions):
    """Draw the learning curves of runs, with bands over seeds, into one picture."""

    out: Path
    """The picture: a file that ends in .png, .svg or .pdf."""
