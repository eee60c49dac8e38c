"""`python -m benchmarks soak`: ten million steps with everything on; memory, descriptors and threads stay flat.

A2C on 64 native CartPoles with a run folder (TensorBoard, JSON lines, checkpoints every 10 s, probes) and evaluations.
Memory is what the process holds (VmRSS), descriptors are the entries of /proc/self/fd, so this runs on Linux alone.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from matplotlib import pyplot

import pg_agents as pg
from benchmarks.peers.machine import facts, resident_megabytes
from benchmarks.records import RESULTS, typed, write

SETTLED = 0.2  # fraction of the run after which nothing should grow: caches and 1,000 rows of returns are full


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


def soak(total_steps: int, rows: int = 100) -> dict[str, Any]:
    """Train, and return the samples and by how much each number grew over the last four fifths."""
    torch.set_num_threads(1)
    samples: list[dict[str, float]] = []

    def probe(run: pg.Run) -> None:
        samples.append(sample(run))

    env = gym.make_vec("CartPole-v1", 64)
    agent = pg.A2C.for_env(env, learning_rate="1e-3:0")
    with tempfile.TemporaryDirectory() as folder:
        how: dict[str, Any] = {"run_dir": Path(folder) / "run", "checkpoint_every": "10s", "progress": False}
        how |= {"eval_env": gym.make_vec("CartPole-v1", 8), "eval_every": total_steps // 20, "eval_episodes": 8}
        summary = pg.train(agent, env, total_steps=total_steps, log_every=total_steps // rows, probes=[probe], **how)
    settled = samples[int(SETTLED * len(samples)) :]
    grown = {
        name: settled[-1][name] - settled[0][name] for name in ("megabytes", "descriptors", "threads", "processes")
    }
    return {"total_steps": summary.total_steps, "mean_return": summary.mean_return_last_100, "grown": grown} | {
        "samples": samples
    }


def plot_soak(found: dict[str, Any]) -> None:
    """Draw memory, descriptors and threads over the steps."""
    figure, grid = pyplot.subplots(1, 3, figsize=(9.5, 2.8), layout="constrained")
    steps = [one["steps"] / 1e6 for one in found["samples"]]
    names = {"megabytes": "memory, MB", "descriptors": "open descriptors", "processes": "threads"}
    for axes, (name, title) in zip(grid, names.items(), strict=True):
        values = [one[name] for one in found["samples"]]
        axes.plot(steps, values, color="#30638e")
        axes.set(title=title, xlabel="million steps", ylim=(0, 1.15 * max(values)))
    figure.savefig(RESULTS / "soak.png", dpi=110)
    pyplot.close(figure)


def main(arguments: Sequence[str]) -> int:
    """Run it, write results/soak.json and draw results/soak.png."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks soak", description=str(__doc__).partition("\n\n")[0])
    parser.add_argument("--steps", type=int, default=10_000_000)
    options = parser.parse_args(arguments)
    found = soak(options.steps)
    write("soak", typed("soak", arguments), {"machine": facts()} | found)
    plot_soak(found)
    print(", ".join(f"{name} {value:+g}" for name, value in found["grown"].items()), "over the last four fifths")
    return 0
