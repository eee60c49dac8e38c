"""How near does the agent of the average reward come to the best gain of tasks that never end, and does it know it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import numpy as np
import pg_envs
import torch
from matplotlib.figure import Figure
from pg_envs import solve

import pg_agents as pg
from benchmarks.learning import scores
from benchmarks.learning.protocol import POINTS, SEEDS, Cell, Result, make_agent, training_env
from benchmarks.suite.pictures import count_in_thousands, draw_curves, draw_level, panels
from benchmarks.suite.samples import interval_text
from benchmarks.suite.tables import Measured, by_cell, number, results
from pg_agents.statistics import interquartile_mean

__all__ = ["CELLS", "SEEDS", "plot", "run", "table"]

NAME = "average-reward"
STEPS = {"pg/TwoStateMDP-v0": 400_000, "pg/RiverSwim-v0": 1_000_000, "pg/Garnet-v0": 1_000_000}
CELLS = [Cell(f"{env.removeprefix('pg/')}/{NAME}", NAME, env, 128, steps, episodes=0) for env, steps in STEPS.items()]


def run(cell: Cell, seed: int) -> Result:
    """Train; return the exact gain of the learned policy and of the best, and λ's mean over the last tenth."""
    torch.set_num_threads(1)
    env = training_env(cell)
    mdp: pg_envs.TabularMDP = env.unwrapped.mdp  # type: ignore[attr-defined]
    agent, curve = make_agent(cell, env, [seed]), list[list[float]]()
    total, probe = cell.total_steps, gains(mdp, curve)
    summary = pg.train(
        agent, env, total_steps=total, seed=seed, log_every=total // POINTS, probes=[probe], progress=False
    )
    known = pg_envs.known_returns(env)
    env.close()
    gain, estimate = curve[-1][1], fmean(row[2] for row in curve if row[0] > 0.9 * total)
    return {
        "score": gain,
        "estimate": estimate,
        "known": {"random": known.random, "optimal": known.optimal, "memoryless": None},
        "steps": summary.total_steps,
        "seconds": summary.wall_seconds,
        "curve": curve,
    }


def gains(mdp: pg_envs.TabularMDP, curve: list[list[float]]) -> Callable[[pg.Run], None]:
    """Return a probe that appends steps, the gain of the policy as it samples, from the model, and the agent's λ."""

    def probe(run: pg.Run) -> None:
        agent: Any = run.agent
        policy = agent.policy.probabilities()[0].double()
        exact = solve.gain(mdp, (policy / policy.sum(-1, keepdim=True)).numpy())
        curve.append([run.steps, exact, float(agent.gain[0])])

    return probe


def table(records: Sequence[Measured]) -> str:
    """Return the share of the best gain that was reached, and how far λ was from the gain."""

    def rows(runs: list[Result]) -> list[list[str]]:
        shares = [run["score"] / run["known"]["optimal"] for run in runs]
        error = max(abs(run["estimate"] / run["score"] - 1) for run in runs)
        best, middle = runs[0]["known"]["optimal"], interquartile_mean(shares)
        texts = [
            number(best),
            f"**{100 * middle:.2f}**",
            interval_text([100 * share for share in shares]),
            f"{100 * min(shares):.2f}",
            f"{error:.2%}",
        ]
        return [[*texts, str(len(runs))]]

    heads = (
        "environment",
        "best gain",
        "IQM of gain / best, %",
        "95 % interval, %",
        "worst, %",
        "error of λ, worst",
        "seeds",
    )
    return scores.cell_table(heads, CELLS, records, rows)


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw the exact gain of the policies and λ over steps, a panel a task."""
    found = by_cell(records)
    cells = [cell for cell in CELLS if results(found.get(cell.name, {}))]
    figure = None
    for axes, cell in zip(panels(len(cells), "Tasks that never end") if cells else (), cells, strict=True):
        figure, runs = axes.figure, results(found[cell.name])
        for place, label, colour in ((2, "λ, the agent's estimate", "#edae49"), (1, "gain of its policy", "#00798c")):
            draw_curves(axes, [np.array(run["curve"])[:, [0, place]] for run in runs], label, colour=colour)
        draw_level(axes, runs[0]["known"]["optimal"], "best gain")
        draw_level(axes, runs[0]["known"]["random"], "random policy", ":")
        axes.set(title=cell.env, xlabel="environment steps", ylabel="reward per step")
        count_in_thousands(axes)
        axes.legend(fontsize=7, loc="lower right")
    assert figure is None or isinstance(figure, Figure)
    return figure
