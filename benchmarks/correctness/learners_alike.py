"""Do learners of one batch learn as single runs do?

Two samples of runs are compared as distributions, by the mean return of each run's last 100 episodes and the number of
its episodes. Both have seeds of their own, so that they are independent; the runs of one sample are one batch, those
of the other run one by one. p is the probability that two samples of one distribution differ as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import torch

import pg_agents as pg
from benchmarks.correctness import _alike
from benchmarks.correctness._alike import Cell
from benchmarks.suite.records import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEARNERS = 64
ALONE = LEARNERS  # what single runs add to their seeds
COLOURS = {"one batch": "#00798c", "single runs": "#d1495b"}
PPO = {"num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": 1e-3}
NORMALIZED = {"normalize_observations": True, "normalize_rewards": True, "discount": 0.9}


CELLS = [
    *_alike.samples(COLOURS, "ppo", "pg/CartPole-v1", 8, 20_000, PPO),
    *_alike.samples(COLOURS, "actor-critic", "pg/CartPole-v1", 16, 20_000, {"learning_rate": 1e-3}),
    *_alike.samples(COLOURS, "ppo", "pg/Pendulum-v1", 4, 20_000, PPO | NORMALIZED),
]
PAIRS = [*zip(CELLS[::2], CELLS[1::2], strict=True)]
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


def table(records: Sequence[Record]) -> str:
    """Return a row for each problem and number of its runs."""
    return _alike.table(records, PAIRS)


def plot(records: Sequence[Record]) -> Figure | None:
    """Return the distribution functions of both samples' returns, a panel for each problem."""
    title = f"Do learners of one batch learn as single runs do? Each run's return after {CELLS[0].total_steps:,} steps"
    return _alike.plot(records, PAIRS, COLOURS, title)
