"""Runs a side, in a process of its own: peers in their Python, ours and loops without abstractions in this one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.peers import PEERS, jax_beside
from benchmarks.processes import answer, python_of
from benchmarks.speed._sides.workload import Cell

ROOT = Path(__file__).parents[3]
FOLDER = Path(__file__).parent / "workers"
WORKERS = {
    "sb3": FOLDER / "sb3.py",
    "cleanrl": FOLDER / "cleanrl_script.py",
    "trl": FOLDER / "trl_grpo.py",
    "rejax": FOLDER / "rejax_ppo.py",
}
TIMEOUT = 1800.0  # seconds for one run

Run = dict[str, Any]


def run(cell: Cell, seed: int) -> Run:
    """Run a side with the seed of a round; return its steps, its seconds by both clocks, and its peak memory.

    Raises:
        RuntimeError: it failed; the message holds the end of what it wrote.
        FileNotFoundError: there is no virtual environment of the peers.
    """
    return run_side(settings_of(cell, seed), PEERS)


def settings_of(cell: Cell, seed: int) -> dict[str, Any]:
    """Return all settings of one run."""
    return cell.settings | {"program": cell.program, "seed": seed}


def run_side(settings: dict[str, Any], peers: Path) -> Run:
    """Run one side, in several `processes` of other seeds side by side where it says so, and return its result.

    Raises:
        RuntimeError: it failed; the message holds the end of what it wrote.
        FileNotFoundError: there is no virtual environment of the peers.
    """
    count = settings.get("processes", 1)
    if count == 1:
        return run_process(settings, peers)
    each = [settings | {"seed": count * settings["seed"] + i} for i in range(count)]
    with ThreadPoolExecutor(count) as pool:
        return together(list(pool.map(partial(run_process, peers=peers), each))) | {"seed": settings["seed"]}


def together(runs: Sequence[Run]) -> Run:
    """Return what processes have done that began at the same time: it took as long as the longest."""
    how: dict[str, Callable[..., Any]] = {"steps": sum, "seconds": max, "cpu_seconds": sum, "peak_megabytes": sum}
    done = {name: combine(run[name] for run in runs) for name, combine in how.items()}
    return runs[0] | done | {"mean_return": mean(run["mean_return"] for run in runs), "processes": len(runs)}


def threads_of(count: int) -> dict[str, str]:
    """Return the environment variables that give a process so many threads."""
    return {f"{name}_NUM_THREADS": str(count) for name in ("OMP", "MKL", "OPENBLAS")}


def run_process(settings: dict[str, Any], peers: Path) -> Run:
    """Run one side in its own process and return its result.

    Raises:
        RuntimeError: it failed; the message holds the end of what it wrote.
        FileNotFoundError: there is no virtual environment of the peers.
    """
    variables = threads_of(settings["threads"]) | settings.get("variables", {})
    if settings["program"] in WORKERS:
        folder = jax_beside(peers) if settings["program"] == "rejax" else peers
        command = [python_of(folder), "-P", str(WORKERS[settings["program"]])]
    else:
        command = [sys.executable, "-m", "benchmarks.speed._sides.ours"]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    run = answer(command, settings, variables, name=settings["program"], timeout=TIMEOUT)
    return run | {"seed": settings["seed"]}
