"""`pg-agents compare` and `pg-agents plot`: runs side by side, as a table, as pictures and as a page."""

from __future__ import annotations

import json
import platform
import shlex
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import pg_envs
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

import pg_agents
from pg_agents.cli.comparing_options import CompareOptions, PlotOptions, RunsOptions
from pg_agents.cli.terminal import say
from pg_agents.comparison.caveats import caveats_of
from pg_agents.comparison.finding import named, search
from pg_agents.comparison.groups import Panel, panels_of
from pg_agents.comparison.measures import Measured, Scores, measure
from pg_agents.comparison.page import Source, page
from pg_agents.comparison.pictures import LOOKS, Looks, draw, looks_of, picture
from pg_agents.comparison.runs import Run, read_runs
from pg_agents.comparison.words import between, in_words, number, one_line, probability, some
from pg_agents.errors import UserError
from pg_agents.folders import write_file, write_files
from pg_agents.shown import SCREEN, nearest, shown
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
    panels, caveats = _measured(options, options.against)
    if options.json:
        print(json.dumps(_as_json(panels, caveats, options.metric)))
        if options.out is None:
            return
    folder = options.out or fresh_run_dir("compare")
    looks, metric = looks_of(panels), options.metric
    figure = draw(panels, metric, looks, options.title)
    contents: dict[str, str | bytes] = {kind: picture(figure, kind) for kind in ("png", "svg")}
    contents["html"] = page(panels, metric, looks, caveats, _source(options, panels), options.title)
    with writable("out", folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_files({folder / f"comparison.{kind}": content for kind, content in contents.items()})
    if not options.json:
        for panel in panels:
            _show(panel, metric, looks)
        _say(caveats)
        say(f"written  {folder / 'comparison.html'}, .png and .svg")


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
    _say(caveats)


def _say(caveats: Sequence[str]) -> None:
    for caveat in caveats:
        say(f"note     {one_line(caveat, SCREEN)}")


def _measured(options: RunsOptions, against: str | None = None) -> tuple[list[Measured], list[str]]:
    """Return the panels, and what is to be known before they are believed."""
    found, empty = search(options.runs)
    runs, left_out = read_runs(found, options.metric)
    left_out += [f"left out, as there is no run in it: {some(map(named, empty))}"] if empty else []
    panels = panels_of(runs, options.by)
    labels = list(dict.fromkeys(group.label for panel in panels for group in panel.groups))
    if against is not None and against not in labels:
        near = ", ".join(nearest(against, labels) or labels[:8])
        raise UserError(f"against: there is no group {shown(against)}; there are {near}")
    if len(labels) > LOOKS:
        left_out.append(f"{len(labels)} groups, of which only {LOOKS} lines can be told apart: name fewer with --by")
    measured = [measure(panel, _known(panel, options.metric), against) for panel in panels]
    return measured, [*left_out, *(caveat for panel in panels for caveat in caveats_of(panel))]


def _known(panel: Panel, metric: str) -> Mapping[str, float]:
    """Return the returns of the optimum and of a random policy: those of a config.json, or of our own environments.

    Nothing is imported for them, whatever the environment is called.
    """
    run: Run = next((run for run in panel.runs if run.known), panel.runs[0])
    said = {"optimum": run.known.get("optimal"), "random": run.known.get("random")}
    if not run.known and run.env.startswith("pg/") and not any(one.wrapped for one in panel.runs):
        args = {**run.env_args, **run.eval_args}
        with suppress(UserError, ValueError, TypeError), closing(make_single_env(run.env, args)) as env:
            known = pg_envs.known_returns(env)
            said = {"optimum": known.optimal, "random": known.random} if known.per == "episode" else {}
    return {name: value for name, value in said.items() if value is not None and metric in RETURNS}


def _source(options: CompareOptions, panels: Sequence[Measured]) -> Source:
    """Return where a page comes from; of folders no more is said than their names."""
    metric = [options.metric] if options.metric != RETURNS[0] else []
    given = {"metric": metric, "by": options.by, "against": [options.against], "title": [options.title]}
    flags = [word for name, values in given.items() for value in values if value for word in (f"--{name}", value)]
    versions = {name: version(name) for name in ("numpy", "scipy", "matplotlib")}
    torch = sorted({str(run.settings["torch"]) for one in panels for run in one.panel.runs if "torch" in run.settings})
    versions = {"pg-agents": pg_agents.__version__, "Python": platform.python_version(), **versions}
    versions |= {"torch (of the runs)": " and ".join(torch)} if torch else {}
    command = shlex.join(["pg-agents", "compare", *map(named, options.runs), *flags])
    return Source(command, versions, time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()))


def _show(one: Measured, metric: str, looks: Looks) -> None:
    """Print a panel's table."""
    console = Console() if Console().is_terminal else Console(width=WIDE)
    title = Text(one_line(f"{one.panel.title}: {in_words(metric)}".removeprefix(": ")), style="bold")
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    several = len(one.scores) > 1
    head = ("", "runs", "last value, IQM", "95 % interval", "median", "mean over steps")
    for i, name in enumerate((*head, *([f"P(higher than {one.against})"] if several else []))):
        table.add_column(Text(one_line(name)), justify="right" if i else "left")
    for row in one.scores:
        table.add_row(Text(one_line(row.label), style=looks[row.label]["color"]), *_cells(row)[: 5 + several])
    for name, value in one.known.items():
        table.add_row(name, "", number(value), *[""] * (3 + several))
    console.print(table)


def _cells(row: Scores) -> list[str]:
    means = [number(row.middle), between(row.interval), number(row.median), number(row.area)]
    return [str(len(row.each)), *means, probability(row.better, row.better_interval)]


def _as_json(panels: Sequence[Measured], caveats: Sequence[str], metric: str) -> dict[str, Any]:
    return {
        "metric": metric,
        "panels": [
            {
                "env": one.panel.title,
                "known": dict(one.known),
                "against": one.against,
                "groups": [asdict(row) for row in one.scores],
            }
            for one in panels
        ],
        "notes": list(caveats),
    }
