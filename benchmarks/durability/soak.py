"""Do memory, descriptors and threads stay flat over ten million steps with everything on?

A2C on 64 native CartPoles with a run folder (TensorBoard, JSON lines, checkpoints every 10 s, probes) and evaluations.
Memory is what the process holds (VmRSS), descriptors are the entries of /proc/self/fd, so this runs on Linux alone.
"""

from __future__ import annotations

import gc
import os
import tempfile
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import torch

import pg_agents as pg
from benchmarks.suite.machine import resident_megabytes
from benchmarks.suite.records import Record
from benchmarks.suite.tables import by_cell, cell_rows, markdown, results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTLED = 0.2  # fraction of the run after which nothing should grow: caches and 1,000 rows of returns are full
HELD = {"megabytes": "memory, MB", "descriptors": "open descriptors", "processes": "threads"}


@dataclass(frozen=True)
class Cell:
    """A long run.

    Attributes:
        name: in tables.
        total_steps: of the run.
        samples: of what the process holds, about so many.
    """

    name: str
    total_steps: int
    samples: int = 100


CELLS = (Cell("A2C, CartPole-v1", 10_000_000),)
SEEDS = (0,)


def sample(run: pg.Run) -> dict[str, float]:
    """Return what the process holds at this point of a run."""
    gc.collect()
    return {
        "steps": run.steps,
        "seconds": run.seconds,
        "megabytes": resident_megabytes(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "processes": sum(1 for _ in Path("/proc/self/task").iterdir()),
    }


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Train, and return the samples and by how much each number grew over the last four fifths."""
    torch.set_num_threads(1)
    samples: list[dict[str, float]] = []

    def probe(trained: pg.Run) -> None:
        samples.append(sample(trained))

    env, eval_env = gym.make_vec("CartPole-v1", 64), gym.make_vec("CartPole-v1", 8)
    agent = pg.A2C.for_env(env, learning_rate="1e-3:0", seed=seed)
    with tempfile.TemporaryDirectory() as folder, closing(env), closing(eval_env):
        how: dict[str, Any] = {"run_dir": Path(folder) / "run", "checkpoint_every": "10s", "progress": False}
        how |= {"eval_env": eval_env, "eval_every": cell.total_steps // 20, "eval_episodes": 8, "probes": [probe]}
        how |= {"total_steps": cell.total_steps, "log_every": cell.total_steps // cell.samples, "seed": seed}
        summary = pg.train(agent, env, **how)
    settled = samples[int(SETTLED * len(samples)) :]
    grown = {
        name: settled[-1][name] - settled[0][name] for name in ("megabytes", "descriptors", "threads", "processes")
    }
    return {"total_steps": summary.total_steps, "mean_return": summary.mean_return_last_100, "grown": grown} | {
        "samples": samples
    }


def table(records: Sequence[Record]) -> str:
    """Return what the process held when the run had settled, and how much that grew."""
    heads = ("run", "steps", "memory, MB", "grown by", "descriptors", "grown by", "threads", "grown by")
    return markdown(heads, cell_rows(CELLS, records, lambda each: map(_numbers, each)), 1)


def _numbers(result: dict[str, Any]) -> list[str]:
    first = result["samples"][int(SETTLED * len(result["samples"]))]
    each = (f"{value:,.0f}" for name in HELD for value in (first[name], result["grown"][name]))
    return [f"{result['total_steps']:,}", *each]


def numbers(records: Sequence[Record]) -> dict[str, str]:
    """Return the memory that was held in the end, and by how much what is held grew, of the first cell."""
    done = results(by_cell(records).get(CELLS[0].name, {}))
    if not done:
        return {}
    said = {f"grown-{name}": f"{done[0]['grown'][name]:+.0f}" for name in HELD}
    return said | {"megabytes": f"{done[0]['samples'][-1]['megabytes']:.0f}"}


def plot(records: Sequence[Record]) -> Figure | None:
    """Return memory, descriptors and threads over the steps, a line for each run."""
    from benchmarks.suite.pictures import panels

    done = [(name, one) for name, mine in by_cell(records).items() for one in results(mine)]
    if not done:
        return None
    for axes, (held, title) in zip(panels(len(HELD), "What a long run holds"), HELD.items(), strict=True):
        for name, result in done:
            steps, values = ([one[what] for one in result["samples"]] for what in ("steps", held))
            axes.plot([step / 1e6 for step in steps], values, label=name)
        axes.set(title=title, xlabel="million steps", ylabel=title)
        axes.set_ylim(0, 1.2 * axes.get_ylim()[1])
        axes.legend(fontsize=7, loc="lower right")
    return axes.figure
