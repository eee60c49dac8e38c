"""Runs sides in turns, and compares their speed: medians, and ratios between sides."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

from benchmarks.peers.machine import jax_beside
from benchmarks.peers.workload import Side, Workload
from benchmarks.processes import answer, python_of

ROOT = Path(__file__).parents[2]
WORKERS = Path(__file__).parent / "workers"
PEERS = {
    "sb3": WORKERS / "sb3.py",
    "cleanrl": WORKERS / "cleanrl_script.py",
    "trl": WORKERS / "trl_grpo.py",
    "rejax": WORKERS / "rejax_ppo.py",
    "parity-sb3": WORKERS / "parity_sb3.py",
    "parity-trl": WORKERS / "parity_trl.py",
}
TIMEOUT = 1800.0  # seconds for one run
QUIET = 0.95  # share of the wall time that a run on a quiet machine spends on a processor

Run = dict[str, Any]


def order(sides: Sequence[str], rounds: int) -> list[tuple[int, str]]:
    """Return the order of runs, (round, side): every second round is reversed, so that no side always follows another.

    A machine that grows slower, or warmer, then does so for all sides alike.
    """
    return [(i, side) for i in range(rounds) for side in (sides if i % 2 == 0 else sides[::-1])]


def settings_of(workload: Workload, side: Side, seed: int, overrides: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of one run: the workload's, the side's, and what the command line says otherwise."""
    return workload.settings | side.settings | {"program": side.program, "seed": seed} | overrides


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


def run_process(settings: dict[str, Any], peers: Path) -> Run:
    """Run one side in its own process and return its result.

    Raises:
        RuntimeError: it failed; the message holds the end of what it wrote.
        FileNotFoundError: there is no virtual environment of the peers.
    """
    variables = {f"{name}_NUM_THREADS": str(settings["threads"]) for name in ("OMP", "MKL", "OPENBLAS")}
    if settings["program"] in PEERS:
        folder = jax_beside(peers) if settings["program"] == "rejax" else peers
        command = [python_of(folder), "-P", str(PEERS[settings["program"]])]
    else:
        command = [sys.executable, "-m", "benchmarks.peers.ours"]
        variables["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    run = answer(command, settings, variables, name=settings["program"], timeout=TIMEOUT)
    return run | {"seed": settings["seed"]}


def cost(run: Run, *, by_time: bool, peer: bool, clock: str = "seconds") -> float:
    """Return the seconds a run took (a step, or until the return was reached), by the wall's or the processor's clock.

    One that did not reach it took all its time if it is a peer's, which is in the peer's favour, and ∞ if it is ours.
    """
    if not by_time:
        return run[clock] / run["steps"]
    return run[clock] if run["reached"] or peer else math.inf


def core_seconds(run: Run) -> float:
    """Return the seconds of all cores that a run had for itself: one for each of its processes."""
    return run["seconds"] * run.get("processes", 1)


def ratios(subject: Sequence[float], other: Sequence[float]) -> list[float]:
    """Return how many times as fast as `other` the subject was, round by round: cost of the other / its own."""
    return [theirs / own for own, theirs in zip(subject, other, strict=True)]


def summarize(workload: Workload, runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Return medians of every side, ratios of the subject to the others, and whether they are what was asked for.

    A ratio is the median over rounds of the ratio of two runs that stood next to each other. Beside it stand the ratio
    of the medians and the ratio by processor time: on a quiet machine they say the same.
    """

    def costs(name: str, clock: str = "seconds") -> list[float]:
        peer = workload.sides[name].program in PEERS
        return [cost(run, by_time=workload.by_time, peer=peer, clock=clock) for run in runs[name]]

    medians = {
        name: {
            "seconds": median(run["seconds"] for run in runs[name]),
            "steps": median(run["steps"] for run in runs[name]),
            "steps_per_second": median(run["steps"] / run["seconds"] for run in runs[name]),
            "steps_per_second_and_core": median(run["steps"] / core_seconds(run) for run in runs[name]),
            "on_processor": median(run["cpu_seconds"] / core_seconds(run) for run in runs[name]),
            "peak_megabytes": peak(runs[name]),
        }
        for name in runs
    }
    compared = []
    for name, at_least in workload.at_least.items():
        if name not in runs or workload.subject not in runs:
            continue
        each = ratios(costs(workload.subject), costs(name))
        more = {
            "of_medians": median(costs(name)) / median(costs(workload.subject)),
            "of_processor_time": median(ratios(costs(workload.subject, "cpu_seconds"), costs(name, "cpu_seconds"))),
        }
        row = {"over": name, "median": median(each), "each": each, "at_least": at_least}
        compared.append(row | more | {"met": median(each) >= at_least})
    absolute = None
    if workload.steps_per_second and workload.subject in runs:
        speed = medians[workload.subject]["steps_per_second"]
        absolute = {"at_least": workload.steps_per_second, "met": speed >= workload.steps_per_second}
    memory = memory_compared(workload, runs)
    return {"medians": medians, "ratios": compared, "steps_per_second": absolute, "memory": memory}


def peak(runs: list[Run]) -> float | None:
    """Return the median of the runs' peak memory in MB, None where a side does not tell it."""
    found = [run["peak_megabytes"] for run in runs if "peak_megabytes" in run]
    return median(found) if found else None


def memory_compared(workload: Workload, runs: dict[str, list[Run]]) -> list[dict[str, Any]]:
    """Return how many times the peak memory of other sides the subject's is, and whether that is as little as asked."""
    rows, own = [], peak(runs.get(workload.subject, []))
    for name, at_most in workload.memory_at_most.items():
        theirs = peak(runs.get(name, []))
        if own is not None and theirs is not None:
            rows.append({"over": name, "times": own / theirs, "at_most": at_most, "met": own <= at_most * theirs})
    return rows


def compare(
    workload: Workload,
    *,
    peers: Path,
    seeds: Sequence[int],
    sides: Sequence[str] | None = None,
    overrides: dict[str, Any] | None = None,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Run the sides of a workload in turns, a round for each seed, and return the runs and their comparison."""
    names = [name for name in workload.sides if sides is None or name in sides]
    runs: dict[str, list[Run]] = {name: [] for name in names}
    for i, name in order(names, len(seeds)):
        run = run_side(settings_of(workload, workload.sides[name], seeds[i], overrides or {}), peers)
        runs[name].append(run)
        say(f"  seed {seeds[i]} {line(name, run, workload)}")
    return {"runs": runs} | summarize(workload, runs)


def line(name: str, run: Run, workload: Workload) -> str:
    """Return what is printed of a run."""
    speed, share = run["steps"] / run["seconds"], run["cpu_seconds"] / core_seconds(run)
    busy = "" if share >= QUIET else "  (the machine was busy)"
    held = f" {run['peak_megabytes']:7,.0f} MB" if "peak_megabytes" in run else ""
    late = "" if run.get("reached") or not workload.by_time else "  NOT REACHED"
    return f"{name:23} {run['seconds']:8.2f} s {speed:12,.0f} steps/s {share:5.0%} on a processor{held}{busy}{late}"
