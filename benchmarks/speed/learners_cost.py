"""What does a learner cost among L in one batch: seconds for a million of its steps, ours and without abstractions?

PPO and the actor-critic with the settings of `many_seeds`, 1 to 64 learners on one thread, in turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.speed._sides.ours import PROGRAMS
from benchmarks.speed.many_seeds import MANY_SEEDS, MANY_SEEDS_TD
from benchmarks.suite.pictures import panels
from benchmarks.suite.tables import MISSING, Measured, by_cell, failures, markdown, results

LEARNERS = (1, 2, 4, 8, 16, 32, 64)
WORKLOADS = {"ppo": MANY_SEEDS, "actor-critic": MANY_SEEDS_TD}
SIDES = {"ours": "ours", "floor": "loop without abstractions"}
COLOURS = {"ours": "#00798c", "floor": "#edae49"}
ALL_STEPS, EACH = 65_536, 12_288  # of all learners of a run together, and of each of them, at least
TICKS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@dataclass(frozen=True)
class Cell:
    """Learners of a side.

    Attributes:
        name: "agent/learners/side".
        agent: of `WORKLOADS`.
        learners: in one batch.
        side: of `SIDES`.
        total_steps: of each learner.
    """

    name: str
    agent: str
    learners: int
    side: str
    total_steps: int


CELLS = [
    Cell(f"{agent}/{count}/{side}", agent, count, side, max(EACH, ALL_STEPS // count))
    for agent in WORKLOADS
    for count in LEARNERS
    for side in SIDES
]
SEEDS = range(3)  # rounds
EXCLUSIVE = True


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return the steps and the seconds of one run, in this process."""
    torch.set_num_threads(1)
    workload = WORKLOADS[cell.agent]
    side = workload.sides[cell.side]
    its = {"program": side.program, "learners": cell.learners, "total_steps": cell.total_steps, "seed": seed}
    found = PROGRAMS[side.program](workload.settings | side.settings | its)
    return {name: found[name] for name in ("steps", "seconds", "cpu_seconds")}


def a_million(runs: Sequence[dict[str, Any]], clock: str = "seconds") -> list[float]:
    """Return the seconds that a million steps have taken in each run, of those that know them."""
    return [1e6 * run[clock] / run["steps"] for run in runs if run.get(clock) is not None]


def table(records: Sequence[Measured]) -> dict[str, str]:
    """Return seconds a learner and a million steps, by the wall's clock with their range and by the processors'."""
    found = by_cell(records)

    def texts(agent: str, side: str, clock: str) -> Iterator[str]:
        for count in LEARNERS:
            mine = found.get(f"{agent}/{count}/{side}", {})
            each = a_million(results(mine), clock)
            ends = f" ({min(each):.1f} … {max(each):.1f})" if len(each) > 1 else ""
            yield f"{median(each):.1f}{ends}" if each else failures(mine) or MISSING

    heads = ("learners", *map(str, LEARNERS))
    clocks = {"seconds": "seconds", "processor": "cpu_seconds"}
    return {
        name: markdown(heads, [[f"`{a}`, {SIDES[s]}", *texts(a, s, clock)] for a in WORKLOADS for s in SIDES], 1)
        for name, clock in clocks.items()
        if clock == "seconds" or any(a_million(results(runs), clock) for runs in found.values())
    }


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw seconds a learner and a million steps against the number of learners, a panel for each agent."""
    found = {name: a_million(results(runs)) for name, runs in by_cell(records).items() if results(runs)}
    if not found:
        return None
    grid = list(panels(len(WORKLOADS), "What a learner costs among several in one batch", size=(4.6, 3.6)))
    for axes, agent in zip(grid, WORKLOADS, strict=True):
        draw_costs(axes, agent, found)
    grid[0].set_ylabel("seconds a learner and a million steps")
    figure = grid[0].figure
    assert isinstance(figure, Figure)
    return figure


def draw_costs(axes: Axes, agent: str, found: dict[str, list[float]]) -> None:
    """Draw the costs of one agent: medians, the range over rounds, and our cost of learners one after the other."""
    drawn: list[float] = []
    for side, label in SIDES.items():
        mine = {count: found[name] for count in LEARNERS if (name := f"{agent}/{count}/{side}") in found}
        each = list(mine.values())
        text = label if mine else f"{label}: missing"
        axes.plot(list(mine), [median(one) for one in each], "o-", color=COLOURS[side], label=text, markersize=4)
        low, high = [min(one) for one in each], [max(one) for one in each]
        axes.fill_between(list(mine), low, high, color=COLOURS[side], alpha=0.2, linewidth=0)
        drawn += [*low, *high]
    if alone := found.get(f"{agent}/1/ours"):
        axes.axhline(median(alone), color="grey", linestyle="--", linewidth=1, label="ours one after the other")
    axes.set(xscale="log", yscale="log", xlabel="learners in one batch (band: range over rounds)", title=agent)
    axes.set_xticks(LEARNERS, [str(count) for count in LEARNERS])
    axes.minorticks_off()
    if drawn:
        ticks = [tick for tick in TICKS if min(drawn) / 2 < tick < 2 * max(drawn)]
        axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.legend(fontsize=7)
