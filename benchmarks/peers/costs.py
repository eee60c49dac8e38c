"""What a step costs as runs grow longer and environments more numerous, and what memory a long run holds."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch

import pg_agents as pg
from benchmarks.peers.compare import ROOT, run_side
from benchmarks.peers.machine import PEERS, resident_megabytes
from benchmarks.peers.ours import make_env
from benchmarks.peers.workloads import CARTPOLE, SAME_WORK

STEPS = (25_600, 51_200, 102_400, 204_800, 409_600)
NUM_ENVS = (4, 8, 16, 32, 64, 128)
LONG_RUN = 1_024_000  # steps
REPEATS = 3
ARGUMENTS = SAME_WORK.sides["ours"].settings["arguments"]


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the exponent p of cost ∝ size^p, by least squares over logarithms: 1 is linear."""
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - mean_x) ** 2 for a in x)


def seconds(total_steps: int, num_envs: int) -> float:
    """Return the median of the seconds of a few runs of PPO, each in a process of its own."""
    settings = CARTPOLE | {"program": "ours", "agent": "ppo", "arguments": ARGUMENTS}
    sizes = {"total_steps": total_steps, "num_envs": num_envs}
    return median(run_side(settings | sizes | {"seed": seed}, PEERS)["seconds"] for seed in range(REPEATS))


def measure_costs(scale: float = 1.0) -> dict[str, Any]:
    """Measure, print and return the costs; `scale` makes runs shorter."""
    by_steps, by_envs = [], []
    for steps in STEPS:
        total = max(1024, round(steps * scale))
        by_steps.append({"steps": total, "seconds": seconds(total, 8)})
        print(f"  {total:9,} steps: {by_steps[-1]['seconds']:8.2f} s")
    iterations = max(2, round(50 * scale))
    for num_envs in NUM_ENVS:
        total = iterations * ARGUMENTS["num_steps"] * num_envs
        by_envs.append({"num_envs": num_envs, "steps": total, "seconds": seconds(total, num_envs)})
        print(f"  {num_envs:4} environments, {iterations} iterations: {by_envs[-1]['seconds']:8.2f} s")
    memory = long_run(max(20_480, round(LONG_RUN * scale)))
    exponents = {
        "steps": slope([row["steps"] for row in by_steps], [row["seconds"] for row in by_steps]),
        "num_envs": slope([row["num_envs"] for row in by_envs], [row["seconds"] for row in by_envs]),
    }
    settled = memory[len(memory) // 5][1]
    grown = memory[-1][1] - settled
    print(f"  cost ∝ steps^{exponents['steps']:.2f}, ∝ environments^{exponents['num_envs']:.2f}")
    print(f"  memory after a fifth of {memory[-1][0]:,} steps {settled:.1f} MB, grown by {grown:.1f} MB")
    return {"by_steps": by_steps, "by_envs": by_envs, "exponents": exponents, "memory": memory, "grown_mb": grown}


def long_run(total_steps: int) -> list[list[float]]:
    """Return (steps, resident megabytes) twenty times over a run of PPO in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.peers.costs", str(total_steps)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def watch_memory(total_steps: int) -> list[list[float]]:
    """Train PPO and look at the memory of this process as metrics are written."""
    torch.set_num_threads(1)
    env = make_env(CARTPOLE)
    agent = pg.PPO.for_env(env, seed=0, **ARGUMENTS)
    seen: list[list[float]] = []
    every = total_steps // 20

    def probe(run: pg.Run) -> None:
        seen.append([(len(seen) + 1) * every, resident_megabytes()])

    pg.train(agent, env, total_steps=total_steps, log_every=every, progress=False, probes=[probe])
    return seen


if __name__ == "__main__":
    print(json.dumps(watch_memory(int(sys.argv[1]))))
