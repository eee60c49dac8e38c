"""What a learner costs among L in one batch: seconds for a million of its steps, ours and without abstractions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import torch

from benchmarks.peers.compare import order, settings_of
from benchmarks.peers.many_seeds import MANY_SEEDS, MANY_SEEDS_TD
from benchmarks.peers.ours import PROGRAMS
from benchmarks.peers.workload import Workload

LEARNERS = (1, 2, 4, 8, 16, 32, 64)
WORKLOADS = {"ppo": MANY_SEEDS, "actor-critic": MANY_SEEDS_TD}
SIDES = ("ours", "floor")
ALL_STEPS, EACH = 65_536, 12_288  # of all learners of a run together, and of each of them, at least
Row = dict[str, Any]


def steps_of(learners: int, scale: float) -> int:
    """Return the steps of each learner."""
    return round(scale * max(EACH, ALL_STEPS // learners))


def run(workload: Workload, side: str, learners: int, seed: int, scale: float) -> dict[str, Any]:
    """Return the steps and seconds of one run in this process."""
    changed = {"learners": learners, "total_steps": steps_of(learners, scale)}
    settings = settings_of(workload, workload.sides[side], seed, changed)
    return PROGRAMS[settings["program"]](settings)


def measure_costs(
    rounds: int = 3,
    scale: float = 1.0,
    counts: Sequence[int] = LEARNERS,
    say: Callable[[str], None] = print,
) -> list[Row]:
    """Run every number of learners by all sides in turns; return a row for each, with medians over the rounds.

    Args:
        rounds: runs of each.
        scale: of the numbers of steps.
        counts: of learners.
        say: what is done with a line for each row.
    """
    torch.set_num_threads(1)
    keys = [(agent, count, side) for agent in WORKLOADS for count in counts for side in SIDES]
    runs: dict[tuple[str, int, str], list[dict[str, Any]]] = {key: [] for key in keys}
    names = [" ".join(map(str, key)) for key in keys]
    for i, name in order(names, rounds):
        key = agent, count, side = keys[names.index(name)]
        runs[key].append(run(WORKLOADS[agent], side, count, i, scale))
    rows = [row_of(*key, runs[key]) for key in keys]
    for row in rows:
        what = f"{row['agent']:14}{row['learners']:3} learners, {row['side']:6}"
        say(f"  {what}{row['seconds']:8.2f} s a learner and a million steps, {row['steps_per_second']:9,.0f} steps/s")
    return rows


def row_of(agent: str, learners: int, side: str, runs: Sequence[dict[str, Any]]) -> Row:
    """Return what runs have cost, by the wall's and by the processor's clock."""

    def costs(clock: str) -> list[float]:
        return [1e6 * one[clock] / one["steps"] for one in runs]

    return {
        "agent": agent,
        "learners": learners,
        "side": side,
        "steps": runs[0]["steps"],
        "seconds": median(costs("seconds")),
        "processor_seconds": median(costs("cpu_seconds")),
        "each": costs("seconds"),
        "steps_per_second": 1e6 / median(costs("seconds")),
    }
