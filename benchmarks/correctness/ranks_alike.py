"""Do runs of two processes learn as runs of one?

A run of two processes has half of the environments on each, and learns from all (`pg_agents.training.ranks`). Two
samples of runs with seeds of their own are compared as distributions, by the mean return of each run's last 100
episodes and the number of its episodes. p is the probability that two samples of one distribution differ as much.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.correctness import _alike
from benchmarks.correctness._alike import Cell
from benchmarks.processes import answer
from benchmarks.suite.records import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RUNS = 64
WORKER = Path(__file__).parent / "_ranks" / "learner.py"
THREADS = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "MKL", "OPENBLAS")}
PROCESSES = {"one process": 1, "two processes": 2}
COLOURS = {"one process": "#d1495b", "two processes": "#00798c"}
PPO = {"num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": 1e-3}


CELLS = _alike.samples(COLOURS, "ppo", "pg/CartPole-v1", 8, 20_000, PPO)
PAIRS = [*zip(CELLS[::2], CELLS[1::2], strict=True)]
SEEDS = range(RUNS)


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Train with a seed; return the mean return of the last 100 episodes, and the number of episodes."""
    return run_seeds(cell, [seed])[seed]


def run_seeds(cell: Cell, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Train with each seed, one by one in the same processes; return the same of each."""
    count = PROCESSES[cell.sample]
    alone = RUNS * (count == 1)  # so that the samples have seeds of their own
    settings = asdict(cell) | {"seeds": [alone + seed for seed in seeds], "processes": count}
    found = answer([sys.executable, str(WORKER)], settings, THREADS, name="the learner", timeout=4 * 3600)
    return dict(zip(seeds, found["runs"], strict=True))


def table(records: Sequence[Record]) -> str:
    """Return a row for each problem and number of its runs."""
    return _alike.table(records, PAIRS)


def plot(records: Sequence[Record]) -> Figure | None:
    """Return the distribution functions of both samples' returns."""
    title = f"Do runs of two processes learn as runs of one? Each run's return after {CELLS[0].total_steps:,} steps"
    return _alike.plot(records, PAIRS, COLOURS, title)
