"""What does a step cost as runs grow longer and environments more numerous, and what memory does a long run hold?

PPO on synchronous CartPoles, one thread, each run in a process of its own. Costs grow as the steps to a power: 1 is
linear. The memory is what the process holds while a million steps are trained.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

import pg_agents as pg
from benchmarks.peers import PEERS
from benchmarks.speed._sides.making import make_env
from benchmarks.speed._sides.running import run_side
from benchmarks.speed.same_work import CARTPOLE, SAME_WORK
from benchmarks.suite.machine import resident_megabytes
from benchmarks.suite.tables import Measured, by_cell, cell_rows, markdown, number, results

ARGUMENTS = SAME_WORK.sides["ours"].settings["arguments"]
ITERATIONS = 50  # of runs with more environments
LONG_RUN = 1_024_000  # steps
LOOKS = 20  # at the memory
SETTLED = LOOKS // 5  # looks until memory is as it stays


@dataclass(frozen=True)
class Cell:
    """A run.

    Attributes:
        name: what grows, and how large it is.
        grows: "steps", "environments", or "memory" of a long run.
        total_steps: of the run.
        num_envs: of its environments.
    """

    name: str
    grows: str
    total_steps: int
    num_envs: int = 8

    @property
    def size(self) -> int:
        """How large that is what grows."""
        return self.num_envs if self.grows == "environments" else self.total_steps


LONGER = [Cell(f"steps/{steps}", "steps", steps) for steps in (25_600, 51_200, 102_400, 204_800, 409_600)]
WIDER = [
    Cell(f"environments/{count}", "environments", ITERATIONS * ARGUMENTS["num_steps"] * count, count)
    for count in (4, 8, 16, 32, 64, 128)
]
CELLS = [*LONGER, *WIDER, Cell("memory", "memory", LONG_RUN)]
SEEDS = range(3)  # rounds
EXCLUSIVE = True


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return the seconds of a run by both clocks, or the memory that a long one holds."""
    if cell.grows == "memory":
        return {"memory": watch_memory(cell.total_steps, seed)}
    settings = CARTPOLE | {"program": "ours", "agent": "ppo", "arguments": ARGUMENTS, "seed": seed}
    found = run_side(settings | {"total_steps": cell.total_steps, "num_envs": cell.num_envs}, PEERS)
    return {name: found[name] for name in ("seconds", "cpu_seconds")}


def watch_memory(total_steps: int, seed: int) -> list[list[float]]:
    """Train PPO, and return (steps, megabytes that this process holds) as metrics are written."""
    torch.set_num_threads(1)
    env = make_env(CARTPOLE)
    agent = pg.PPO.for_env(env, seed=seed, **ARGUMENTS)
    seen: list[list[float]] = []
    every = total_steps // LOOKS

    def probe(run: pg.Run) -> None:
        seen.append([(len(seen) + 1) * every, resident_megabytes()])

    pg.train(agent, env, total_steps=total_steps, seed=seed, log_every=every, progress=False, probes=[probe])
    return seen


def slope(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Return the exponent p of cost ∝ size^p, by least squares over logarithms: 1 is linear."""
    x, y = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    covariance = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return covariance / sum((a - mean_x) ** 2 for a in x)


def exponent(cells: Sequence[Cell], records: Sequence[Measured]) -> float | None:
    """Return the power of what grows that the seconds grow as; None: fewer than two sizes were measured."""
    found = by_cell(records)
    measured = [(cell.size, results(found[cell.name])) for cell in cells if results(found.get(cell.name, {}))]
    seconds = [median(run["seconds"] for run in runs) for _, runs in measured]
    return slope([size for size, _ in measured], seconds) if len(measured) > 1 else None


def table(records: Sequence[Measured]) -> dict[str, str]:
    """Return what runs cost, and the memory of the long one."""
    named = {cell.name: cell for cell in CELLS}

    def rows(cell: Cell) -> list[list[str]]:
        def measured(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
            seconds = median(run["seconds"] for run in runs)
            clock = [run["cpu_seconds"] for run in runs if "cpu_seconds" in run]
            count = sum(run.get("runs", 1) for run in runs)  # records of medians say of how many runs
            step = f"{1e6 * seconds / cell.total_steps:.1f}"
            yield [
                f"{cell.total_steps:,}",
                f"{seconds:.2f}",
                number(median(clock) if clock else None),
                step,
                str(count),
            ]

        return cell_rows([cell], records, measured)

    heads = ("run", "steps", "seconds", "processor, s", "µs a step", "runs")
    costs = markdown(heads, [row for cell in (*LONGER, *WIDER) for row in rows(cell)], 1)
    held = cell_rows([named["memory"]], records, lambda runs: [_memory_row(run["memory"]) for run in runs])
    return {"costs": costs, "memory": markdown(("run", "after a fifth, MB", "at its end, MB", "grown by, MB"), held, 1)}


def _memory_row(memory: Sequence[Sequence[float]]) -> list[str]:
    settled, end = memory[SETTLED][1], memory[-1][1]
    return [f"{settled:.1f}", f"{end:.1f}", f"{end - settled:.1f}"]


def numbers(records: Sequence[Measured]) -> dict[str, str]:
    """Return the exponents, and by how many megabytes a long run grows."""
    found = {"exponent-steps": exponent(LONGER, records), "exponent-environments": exponent(WIDER, records)}
    said = {name: f"{value:.2f}" for name, value in found.items() if value is not None}
    runs = results(by_cell(records).get("memory", {}))
    grown = [run["memory"][-1][1] - run["memory"][SETTLED][1] for run in runs]
    return said | ({"grown": f"{max(grown):.1f}"} if grown else {})
