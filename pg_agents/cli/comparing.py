"""`pg-agents compare` and `pg-agents plot`: runs side by side, as a table, as pictures and as a page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from typing import Any

import pg_envs
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pg_agents.cli.comparing_options import CompareOptions, PlotOptions, RunsOptions
from pg_agents.cli.terminal import say
from pg_agents.comparison.caveats import caveats_of
from pg_agents.comparison.finding import runs_in
from pg_agents.comparison.groups import Panel, panels_of
from pg_agents.comparison.measures import Measured, Scores, measure
from pg_agents.comparison.pictures import draw, in_words, looks_of, picture
from pg_agents.comparison.runs import read_runs
from pg_agents.errors import UserError
from pg_agents.folders import write_file
from pg_agents.shown import printable
from pg_agents.spaces.environments import make_single_env
from pg_agents.training.run_files import writable
from pg_agents.training.writers import fresh_run_dir

KINDS = ("png", "svg", "pdf")
RETURNS = ("rollout/ep_rew_mean", "eval/ep_rew_mean")  # of which the optimum and a random policy's are known
WIDE = 200  # characters of a table that no terminal shows


def run_comparison(options: RunsOptions) -> None:
    """Compare runs, or draw them."""
    if isinstance(options, PlotOptions):
        _plot(options)
    elif isinstance(options, CompareOptions):
        _compare(options)


def _compare(options: CompareOptions) -> None:
    """Print the table, and write pictures and a page."""
    panels, caveats = _measured(options)
    if options.json:
        print(json.dumps(_as_json(panels, caveats, options.metric)))
        if options.out is None:
            return
    folder = options.out or fresh_run_dir("compare")
    with writable("out", folder):
        folder.mkdir(parents=True, exist_ok=True)
        figure = draw(panels, options.metric, looks_of(panels), options.title)
        for kind in ("png", "svg"):
            write_file(folder / f"comparison.{kind}", picture(figure, kind))
    if not options.json:
        _show(panels, options.metric)
        for caveat in caveats:
            say(f"note     {caveat}")
        say(f"written  {folder}")


def _plot(options: PlotOptions) -> None:
    """Write the picture alone."""
    kind = options.out.suffix.removeprefix(".").lower()
    if kind not in KINDS:
        raise UserError(f"out: {options.out} must end in .{', .'.join(KINDS)}; give a file like curves.png")
    panels, caveats = _measured(options)
    content = picture(draw(panels, options.metric, looks_of(panels), options.title), kind)
    with writable("out", options.out):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_file(options.out, content)
    for caveat in caveats:
        say(f"note     {caveat}")


def _measured(options: RunsOptions) -> tuple[list[Measured], list[str]]:
    """Return the panels, and what is to be known before they are believed."""
    runs, left_out = read_runs(runs_in(options.runs), options.metric)
    panels = panels_of(runs, options.by)
    measured = [measure(panel, _known(panel) if options.metric in RETURNS else {}) for panel in panels]
    return measured, [*left_out, *(caveat for panel in panels for caveat in caveats_of(panel))]


def _known(panel: Panel) -> Mapping[str, float]:
    """Return the returns of the optimum and of a random policy: those of a config.json, or of our own environments.

    Nothing is imported for them, whatever the environment is called.
    """
    run = panel.runs[0]
    said = {"optimum": run.known.get("optimal"), "random": run.known.get("random")}
    if not run.known and run.env.startswith("pg/") and not run.wrapped:
        with suppress(UserError, ValueError, TypeError), closing(make_single_env(run.env, run.env_args)) as env:
            known = pg_envs.known_returns(env)
            said = {"optimum": known.optimal, "random": known.random} if known.per == "episode" else {}
    return {name: value for name, value in said.items() if value is not None}


def _show(panels: Sequence[Measured], metric: str) -> None:
    """Print a table for each panel."""
    looks = looks_of(panels)
    console = Console() if Console().is_terminal else Console(width=WIDE)
    for panel in panels:
        title = Text(printable(f"{panel.panel.title}: {in_words(metric)}".removeprefix(": ")), style="bold")
        table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
        for i, name in enumerate(("", "runs", "last value: IQM", "95 % interval", "median", "mean over steps")):
            table.add_column(name, justify="right" if i else "left")
        for row in panel.scores:
            table.add_row(Text(printable(row.label), style=looks[row.label]["color"]), *_cells(row))
        for name, value in panel.known.items():
            table.add_row(name, "", f"{value:.4g}", "", "", "")
        console.print(table)


def _cells(row: Scores) -> list[str]:
    between = "–" if row.interval is None else "{:.4g} … {:.4g}".format(*row.interval)
    area = "–" if row.area is None else f"{row.area:.4g}"
    return [str(len(row.each)), f"{row.middle:.4g}", between, f"{row.median:.4g}", area]


def _as_json(panels: Sequence[Measured], caveats: Sequence[str], metric: str) -> dict[str, Any]:
    return {
        "metric": metric,
        "panels": [
            {"env": one.panel.title, "known": dict(one.known), "groups": [asdict(row) for row in one.scores]}
            for one in panels
        ],
        "notes": list(caveats),
    }
