"""What torch.compile, a second thread and a GPU change, in the same work: options that are measured, not defaults."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch

import pg_agents as pg
from benchmarks.peers.ours import make_env
from benchmarks.peers.workloads import SAME_WORK

WARM_UP = 5  # iterations, the first of which compiles


def iterations(count: int, *, threads: int = 1, compiled: bool = False, device: str = "cpu") -> dict[str, float]:
    """Return the median milliseconds of collecting and of learning, and the seconds of the first learning."""
    torch.set_num_threads(threads)
    settings = SAME_WORK.settings | SAME_WORK.sides["ours"].settings
    env = make_env(settings)
    agent = pg.PPO.for_env(env, seed=0, **settings["arguments"]).to(device)
    if compiled:
        agent.compile()  # the loss
    collector = pg.collect_steps(env, agent.policy, settings["arguments"]["num_steps"])
    times = []
    for _ in range(WARM_UP + count):
        started = time.perf_counter()
        rollout = next(collector).to(device)
        between = time.perf_counter()
        float(agent.update(rollout)["policy_loss"])  # waits for a GPU
        times.append((between - started, time.perf_counter() - between))
    collecting, learning = (1e3 * median(column) for column in zip(*times[WARM_UP:], strict=True))
    return {"collecting": collecting, "learning": learning, "first_seconds": times[0][1]}


def measure_options(count: int = 60) -> dict[str, Any]:
    """Measure, print and return what each option comes to."""
    options: dict[str, dict[str, Any]] = {
        "one thread": {},
        "two threads": {"threads": 2},
        "agent.compile()": {"compiled": True},
    }
    if torch.cuda.is_available():
        options |= {"CUDA": {"device": "cuda"}, "CUDA, agent.compile()": {"device": "cuda", "compiled": True}}
    rows = []
    for name, settings in options.items():
        row = {"option": name} | iterations(count, **settings)
        row["pays_after_iterations"] = _pays_after(row, rows[0]) if rows else None
        rows.append(row)
        print(
            f"  {name:22} collecting {row['collecting']:6.2f} ms  learning {row['learning']:6.2f} ms  "
            f"first update {row['first_seconds']:6.2f} s"
        )
    torch.set_num_threads(1)
    return {"title": SAME_WORK.title, "iterations": count, "rows": rows}


def _pays_after(row: dict[str, Any], plain: dict[str, Any]) -> float | None:
    """Return the iterations after which an option has saved what its first update cost; None: it never does."""
    saved = plain["collecting"] + plain["learning"] - row["collecting"] - row["learning"]
    return 1e3 * (row["first_seconds"] - plain["first_seconds"]) / saved if saved > 0 else None
