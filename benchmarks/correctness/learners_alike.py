"""Do learners of one batch learn as single runs do?

Two samples of runs are compared as distributions, by the mean return of each run's last 100 episodes and the number of
its episodes. Both have seeds of their own, so that they are independent; the runs of one sample are one batch, those
of the other run one by one. p is the probability that two samples of one distribution differ as much.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch
from scipy import stats

import pg_agents as pg
from benchmarks.suite.records import Record
from benchmarks.suite.tables import MISSING, NONE, by_cell, failures, markdown, number, results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEARNERS = 64
ALONE = LEARNERS  # what single runs add to their seeds
COLOURS = {"one batch": "#00798c", "single runs": "#d1495b"}
PPO = {"num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": 1e-3}
NORMALIZED = {"normalize_observations": True, "normalize_rewards": True, "discount": 0.9}


@dataclass(frozen=True)
class Cell:
    """A sample: an agent in an environment, in one batch or by itself.

    Attributes:
        name: in records.
        problem: agent and environment, the same for both samples.
        sample: "one batch" or "single runs".
        agent: the agent's name.
        env: the environment's id.
        num_envs: environments of each learner.
        total_steps: of each learner.
        arguments: the agent's that differ from its defaults.
    """

    name: str
    problem: str
    sample: str
    agent: str
    env: str
    num_envs: int
    total_steps: int
    arguments: dict[str, Any] = field(default_factory=dict)


def samples(agent: str, env: str, num_envs: int, total_steps: int, arguments: dict[str, Any]) -> list[Cell]:
    """Return both samples of an agent in an environment."""
    problem = f"{agent}, {env}"
    what = (agent, env, num_envs, total_steps, arguments)
    return [Cell(f"{problem}, {sample}", problem, sample, *what) for sample in COLOURS]


CELLS = [
    *samples("ppo", "pg/CartPole-v1", 8, 20_000, PPO),
    *samples("actor-critic", "pg/CartPole-v1", 16, 20_000, {"learning_rate": 1e-3}),
    *samples("ppo", "pg/Pendulum-v1", 4, 20_000, PPO | NORMALIZED),
]
SEEDS = range(LEARNERS)


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Train one learner; return the mean return of its last 100 episodes, and their number."""
    return run_seeds(cell, [seed])[seed]


def run_seeds(cell: Cell, seeds: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Train learners, as one batch or one by one; return the same of each."""
    torch.set_num_threads(1)
    if cell.sample == "single runs":
        return {seed: learn(cell, [ALONE + seed])[0] for seed in seeds}
    return dict(zip(seeds, learn(cell, seeds), strict=True))


def learn(cell: Cell, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Train an agent of each seed, several as one batch; return what became of each."""
    env = gym.make_vec(cell.env, cell.num_envs * len(seeds))
    which: dict[str, Any] = {"seed": seeds[0]} if len(seeds) == 1 else {"seeds": list(seeds)}
    agent = pg.AGENTS[cell.agent].for_env(env, **which, **cell.arguments)
    steps = len(seeds) * cell.total_steps
    summary = pg.train(agent, env, total_steps=steps, seed=seeds[0], progress=False)
    env.close()
    each = summary.learners or [summary]
    return [{"return": one.mean_return_last_100, "episodes": one.episodes} for one in each]


def compared(one: Sequence[float], other: Sequence[float]) -> dict[str, float]:
    """Return how two samples differ, with the probability that samples of one distribution would differ as much.

    `ks`: the largest distance of their distribution functions (Kolmogorov, Smirnov); `mean`: their means (Welch);
    `spread`: the distances from their medians (Brown, Forsythe).
    """
    a, b = np.asarray(one, float), np.asarray(other, float)
    error = (a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)) ** 0.5
    found = {"difference_of_means": a.mean() - b.mean(), "standard_error": error, "ks": stats.ks_2samp(a, b).pvalue}
    if error:
        found["mean"] = stats.ttest_ind(a, b, equal_var=False).pvalue
        found["spread"] = stats.levene(a, b, center="median").pvalue
    return {name: float(value) for name, value in found.items()}


def table(records: Sequence[Record]) -> str:
    """Return a row for each problem and number of its runs."""
    heads = ("agent, environment", "mean of", *COLOURS, "difference", "p of distributions", "of means", "of distances")
    return markdown(heads, _rows(records), 2)


def _rows(records: Sequence[Record]) -> Iterator[list[str]]:
    found = by_cell(records)
    for batch, alone in zip(CELLS[::2], CELLS[1::2], strict=True):
        both = [results(found.get(cell.name, {})) for cell in (batch, alone)]
        said = [failures(found.get(cell.name, {})) or MISSING for cell in (batch, alone)]
        for what in ("return", "episodes"):
            values = [[one[what] for one in each] for each in both]
            means = [number(float(np.mean(each))) if each else text for each, text in zip(values, said, strict=True)]
            row = [batch.problem, f"{what} ({', '.join(str(len(each)) for each in both)} runs)", *means]
            yield row + (_differences(compared(*values)) if min(map(len, values)) > 1 else [])


def _differences(one: dict[str, float]) -> list[str]:
    """Return the texts of a comparison; samples without any spread have a distance of distributions alone."""
    chances = [f"{one[name]:.2f}" if name in one else NONE for name in ("ks", "mean", "spread")]
    return [f"{number(one['difference_of_means'], 3)} ± {number(one['standard_error'], 2)}", *chances]


def plot(records: Sequence[Record]) -> Figure | None:
    """Return the distribution functions of both samples' returns, a panel for each problem."""
    from benchmarks.suite.pictures import panels

    found = by_cell(records)
    title = f"Do learners of one batch learn as single runs do? Each run's return after {CELLS[0].total_steps:,} steps"
    for i, axes in enumerate(panels(len(CELLS) // 2, title)):
        values = {}
        for cell in CELLS[2 * i : 2 * i + 2]:
            mine = np.sort([one["return"] for one in results(found.get(cell.name, {}))])
            label = f"{cell.sample} ({len(mine)})"
            axes.step(mine, np.arange(1, len(mine) + 1) / max(1, len(mine)), color=COLOURS[cell.sample], label=label)
            values[cell.sample] = mine
        enough = min(map(len, values.values())) > 1
        said = f"\nKolmogorov–Smirnov p = {compared(*values.values())['ks']:.2f}" if enough else ""
        axes.set_title(f"{CELLS[2 * i].problem}{said}", fontsize=9)
        axes.set(xlabel="mean return of the last 100 episodes", ylabel="share of runs below", ylim=(0, 1.02))
        axes.legend(fontsize=7)
    return axes.figure
