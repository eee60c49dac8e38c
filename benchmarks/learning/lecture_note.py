"""Do figures 1 and 2 of the lecture note come out: the two-armed bandits, without and with a baseline?"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

import pg_agents as pg
from benchmarks.suite.pictures import MORE_COLOURS, count_in_thousands, panels
from benchmarks.suite.tables import Measured, by_cell, cell_rows, markdown, results

LEARNERS, PULLS, EVERY = 400, 20_000, 50
SHOWN = (1_000, 5_000, 10_000, 20_000)  # pulls, in the table
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True)
class Setting:
    """An agent whose learners pull a bandit's arms, each its own.

    Attributes:
        name: of the figure's line.
        env: the bandit's id.
        agent: the agent's name.
        arguments: of the agent.
        learners: independent learners, which are one batch.
        pulls: of each learner.
    """

    name: str
    env: str
    agent: str
    arguments: dict[str, Any] = field(default_factory=dict)
    learners: int = LEARNERS
    pulls: int = PULLS


CELLS = [
    Setting("Figure 1: p = (0.6, 0.4)", "pg/TwoArmedBandit-v0", "reinforce"),
    Setting("Figure 2: p = (0.96, 0.94), no baseline", "pg/TwoArmedBanditClose-v0", "reinforce"),
    Setting(
        "Figure 2: p = (0.96, 0.94), running average",
        "pg/TwoArmedBanditClose-v0",
        "reinforce-baseline",
        {"baseline": "running-average"},
    ),
]
SEEDS = (0,)  # of the learners, who are many


def run(cell: Setting, seed: int) -> dict[str, Any]:
    """Train the learners; return what is told of π(0), the probability of the better arm, over pulls."""
    torch.set_num_threads(1)
    started = time.perf_counter()
    chosen, scores = learn(cell, seed)
    shown = [pulls for pulls in SHOWN if pulls <= cell.pulls]
    return {
        "statistics": {str(pulls): statistics(chosen[pulls // EVERY]) for pulls in shown},
        "quantiles": np.quantile(chosen, QUANTILES, axis=1).round(4).tolist(),
        "scores": scores.T.round(4).tolist(),
        "every": EVERY,
        "learners": cell.learners,
        "seconds": time.perf_counter() - started,
    }


def learn(cell: Setting, seed: int) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Return π(0) after every `EVERY` pulls, [pulls / EVERY + 1, learners], and θ of both arms, mean over learners."""
    count = cell.learners
    env = gym.make_vec(cell.env, count)
    how = {"num_learners": count, "learning_rate": 0.05, "optimizer": "sgd"} | cell.arguments
    agent = pg.AGENTS[cell.agent].for_env(env, **how)
    chosen, scores = [np.full(count, 0.5)], [np.zeros(2)]

    def probe(run: pg.Run) -> None:
        policy: Any = run.agent.policy
        chosen.append(policy.probabilities()[:, 0, 0].numpy())
        scores.append(policy.logits.detach().mean((0, 1)).numpy())

    steps = count * cell.pulls
    pg.train(agent, env, total_steps=steps, log_every=count * EVERY, probes=[probe], seed=seed, progress=False)
    return np.stack(chosen), np.stack(scores)


def statistics(chosen: NDArray[np.floating]) -> dict[str, float]:
    """Return the statistics of π(0) over learners, with the standard error of the mean."""
    return {
        "mean": float(chosen.mean()),
        "standard_error": float(chosen.std() / len(chosen) ** 0.5),
        "above_0.9": float((chosen > 0.9).mean()),
        "below_0.1": float((chosen < 0.1).mean()),
        "median": float(np.median(chosen)),
    }


def table(records: Sequence[Measured]) -> str:
    """Return the statistics of π(0), the probability of the better arm."""

    def rows(found: list[dict[str, Any]]) -> Iterable[Sequence[str]]:
        for pulls, one in found[-1]["statistics"].items():
            mean = f"{one['mean']:.3f} ± {one['standard_error']:.3f}"
            shares = f"{one['above_0.9']:.1%}", f"{one['below_0.1']:.1%}"
            yield f"{int(pulls):,}", mean, *shares, f"{one['median']:.3f}"

    heads = ("setting", "pulls", "mean π(0)", "learners with π(0) > 0.9", "< 0.1", "median")
    return markdown(heads, cell_rows(CELLS, records, rows), 1)


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw figures 1 and 2: π(0) over pulls, median and bands over learners, and the scores of figure 1."""
    found = {name: results(runs)[-1] for name, runs in by_cell(records).items() if results(runs)}
    if not found:
        return None
    title = f"{LEARNERS} independent learners: median, 25 – 75 % and 10 – 90 %"
    one, scores, two = panels(3, title, size=(4.0, 3.4))
    for colour, cell in zip(MORE_COLOURS, CELLS, strict=False):
        if cell.name in found:
            draw_quantiles(one if cell is CELLS[0] else two, found[cell.name], cell.name.split(": ")[1], colour)
    first = found.get(CELLS[0].name, {"scores": [], "every": EVERY})
    for arm, values in enumerate(first["scores"]):
        pulls = np.arange(len(values)) * first["every"]
        scores.plot(pulls, values, color=MORE_COLOURS[arm], label=f"θ of arm {arm}, mean")
    named = ((one, "Figure 1", "π(0), the better arm"), (scores, "Figure 1", "θ"), (two, "Figure 2", "π(0)"))
    for axes, panel, height in named:
        axes.set(title=panel, xlabel="pulls", ylabel=height)
        count_in_thousands(axes)
        if axes.get_lines():
            axes.legend(fontsize=8)
    assert isinstance(one.figure, Figure)
    return one.figure


def draw_quantiles(axes: Axes, result: dict[str, Any], label: str, colour: str) -> None:
    """Draw the median and two bands."""
    low, lower, median, upper, high = np.array(result["quantiles"])
    pulls = np.arange(len(median)) * result["every"]
    axes.fill_between(pulls, low, high, color=colour, alpha=0.12, linewidth=0)
    axes.fill_between(pulls, lower, upper, color=colour, alpha=0.25, linewidth=0)
    axes.plot(pulls, median, color=colour, label=label)
    axes.set_ylim(0, 1)
