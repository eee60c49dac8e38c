"""The results of tuning as files and as text."""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pg_agents
from pg_agents.cli.importing import as_typed
from pg_agents.cli.options import PROGRAM
from pg_agents.folders import write_files
from pg_agents.shown import printable
from pg_agents.training.run_files import writable
from pg_agents.tuning.results import Fresh, Row, best_of, file_text, lines_text, number, rows_of
from pg_agents.tuning.space import SEARCH
from pg_agents.tuning.task import Task

TRIALS, BEST, SUMMARY, PICTURE = "trials.jsonl", "best.toml", "summary.json", "tuning.png"
PACKAGES = ("torch", "gymnasium", "numpy", "optuna")


def write_results(out: Path, study: Any, task: Task, found: Sequence[Fresh]) -> None:  # noqa: ANN401
    """Write the trials, the best settings as a file for `--config`, a summary and a picture.

    Args:
        out: the folder.
        study: whose trials they are.
        task: what is tuned.
        found: what settings return with fresh seeds, first the best trial; []: tuning was ended before.
    """
    from pg_agents.tuning.picture import draw  # here: it imports matplotlib

    rows = rows_of(study)
    files, row = {TRIALS: lines_text(rows)}, chosen(rows, found)
    if row is not None:
        files[BEST] = file_text(task, row, provenance(row, found))
        files[SUMMARY] = json.dumps(summary(task, rows, found), indent=2) + "\n"
    with writable("out", out):
        write_files({out / name: text for name, text in files.items()})
        if row is not None:
            draw(study, rows, f"{task.agent} in {task.env}").savefig(out / PICTURE, dpi=120)


def chosen(rows: Sequence[Row], found: Sequence[Fresh]) -> Row | None:
    """Return the trial whose settings are the result: of those with fresh seeds the better one there."""
    return max(found, key=lambda one: one.mean).row if found else best_of(rows)


def summary(task: Task, rows: Sequence[Row], found: Sequence[Fresh]) -> dict[str, Any]:
    """Return what was tried and what was found, as JSON."""
    row, states = chosen(rows, found), Counter(row["state"] for row in rows)
    fresh = [{"trial": one.row["trial"], "origin": one.row["origin"], "seeds": [*one.seeds], "returns": one.returns}
             | {"drop": list(one.drop()) if one.returns else None, "error": one.error or None}
             for one in found]  # fmt: skip
    return {
        "task": json.loads(json.dumps(asdict(task), default=str)),
        "trials": dict(states),
        "seconds_of_trials": sum(row["seconds"] or 0.0 for row in rows),
        "chosen": None if row is None else row["trial"],
        "score": None if row is None else row["score"],
        "fresh": fresh,
        "command": command(),
        "versions": versions(),
    }


def span(seeds: Sequence[int]) -> str:
    """Return seeds in a row as text."""
    return f"{seeds[0]} to {seeds[-1]}"


def command() -> str:
    """Return the command as it was typed."""
    return f"{PROGRAM} {shlex.join(sys.argv[1:])}"


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    ours = {"python": platform.python_version(), "pg-agents": pg_agents.__version__}
    return ours | {name: version(name) for name in PACKAGES}


def provenance(row: Row, found: Sequence[Fresh]) -> list[str]:
    """Return where settings come from, as lines."""
    made = ", ".join(f"{name} {number}" for name, number in versions().items())
    scores = [f"trial {row['trial']} ({row['origin']}), on its own seeds: {number(row['returns'])}"]
    for one in found:
        if one.row is row and one.returns:
            scores.append(f"on fresh seeds {span(one.seeds)}: {number(one.returns)}{_the_better(found)}")
    date = time.strftime("%Y-%m-%d", time.gmtime())
    return [f"Made by: {printable(command())}", f"on {date} with {made}", *scores]


def lines(out: Path, task: Task, rows: Sequence[Row], found: Sequence[Fresh], seconds: float) -> str:
    """Return what was found as text."""
    states = Counter(row["state"] for row in rows)
    parts = ", ".join(f"{count} {'given up' if state == 'pruned' else state}" for state, count in states.items())
    text = [f"trials   {len(rows)} ({parts}) in {seconds:,.0f} s"]
    if all(row["origin"] != SEARCH for row in rows):
        text.append("         only known settings were tried: others need a longer --budget or more --trials")
    row = chosen(rows, found)
    if row is None:
        return "\n".join(text)
    for one in found:
        name = f"trial {one.row['trial']} ({one.row['origin']})"
        again = number(one.returns) if one.returns else f"the runs have failed ({printable(one.error)})"
        text.append(f"{name}: {number(one.row['returns'])} on seeds {span(task.seeds)}, {again} on {span(one.seeds)}")
        if one.returns:
            drop, low, high = one.drop()
            text.append(f"         drop {drop:.4g} (95 %: {low:.4g} … {high:.4g})")
    best = shlex.quote(str(out / BEST))
    text += [f"chosen   trial {row['trial']}{_the_better(found)}", f"results  {out}"]
    return "\n".join([*text, f"next     {PROGRAM} train {task.agent} --config {best} --seeds 10{as_typed()}"])


def _the_better(found: Sequence[Fresh]) -> str:
    """Return what the result's score on fresh seeds is besides, where these have chosen it."""
    several = sum(bool(one.returns) for one in found) > 1
    return ", the better of two on these seeds, which flatters it a little" if several else ""
