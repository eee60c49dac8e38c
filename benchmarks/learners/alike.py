"""Whether learners of one batch learn as single runs do: two samples of runs, compared as distributions.

Both samples have seeds of their own, so that they are independent; the runs of one sample are one batch, those of the
other run one by one. A run's numbers are the mean return of its last episodes and how many episodes it had.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from scipy import stats

import pg_agents as pg
from benchmarks.experiments import Run
from benchmarks.records import RESULTS, commit, write

LEARNERS = 64
NAME = "learners-alike"
PPO = {"num_steps": 128, "minibatch_size": 256, "epochs": 4, "learning_rate": 1e-3}
NORMALIZED = {"normalize_observations": True, "normalize_rewards": True, "discount": 0.9}
CELLS = [
    Run("ppo", "pg/CartPole-v1", 8, 20_000, PPO),
    Run("actor-critic", "pg/CartPole-v1", 16, 20_000, {"learning_rate": 1e-3}),
    Run("ppo", "pg/Pendulum-v1", 4, 20_000, PPO | NORMALIZED),
]
Result = dict[str, Any]


def learn(cell: Run, seeds: Sequence[int]) -> Result:
    """Train an agent of each seed, several as one batch, each for a cell's steps; return their returns and episodes."""
    torch.set_num_threads(1)
    env = gym.make_vec(cell.env, cell.num_envs * len(seeds))
    which: dict[str, Any] = {"seed": seeds[0]} if len(seeds) == 1 else {"seeds": list(seeds)}
    agent = pg.AGENTS[cell.agent].for_env(env, **which, **cell.arguments)
    steps = len(seeds) * cell.total_steps
    summary = pg.train(agent, env, total_steps=steps, seed=seeds[0], progress=False)
    env.close()
    each = summary.learners or [summary]
    found = {"returns": [one.mean_return_last_100 for one in each], "episodes": [one.episodes for one in each]}
    return {"seeds": list(seeds), "commit": commit()} | found


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


def summary(runs: Sequence[Result]) -> dict[str, dict[str, float]]:
    """Return how the numbers of learners of batches differ from those of single runs."""
    batches = [run for run in runs if len(run["seeds"]) > 1]
    alone = [run for run in runs if len(run["seeds"]) == 1]
    if not batches or len(alone) < 2:
        return {}
    names = ("returns", "episodes")
    return {name: compared(*(sum((run[name] for run in some), []) for some in (batches, alone))) for name in names}


def run_alike(
    cells: Sequence[Run] = CELLS,
    learners: int = LEARNERS,
    workers: int = 2,
    folder: Path = RESULTS,
    command: str = f"python -m benchmarks {NAME}",
    say: Callable[[str], None] = print,
) -> Result:
    """Run what `results/learners-alike.json` does not hold yet, save it after every run, and return its contents."""
    done = stored(folder)
    seeds = [tuple(range(learners)), *((seed,) for seed in range(learners, 2 * learners))]
    missing = [(cell, some) for some in seeds for cell in cells if (key_of(cell), some) not in done]
    content: Result = {}
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(learn, cell, some): (cell, some) for cell, some in missing}
        for future in as_completed(futures):
            cell, some = futures[future]
            done[key_of(cell), some] = run = future.result()
            content = store(cells, seeds, done, folder, command)
            say(f"{cell.agent:14} {cell.env:16} seeds {shown(some):7} mean return {np.mean(run['returns']):9.2f}")
    return content or store(cells, seeds, done, folder, command)


def shown(seeds: Sequence[int]) -> str:
    """Return seeds in a row as a text."""
    return str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]}–{seeds[-1]}"


def key_of(cell: Run) -> str:
    """Return a text that is the same for cells that are the same."""
    return json.dumps(asdict(cell), sort_keys=True)


def stored(folder: Path) -> dict[tuple[str, tuple[int, ...]], Result]:
    """Return the runs that are there, by a cell's key and seeds."""
    file = folder / f"{NAME}.json"
    done = {}
    for result in json.loads(file.read_text())["results"] if file.exists() else ():
        cell = Run(**{name: result[name] for name in Run.__dataclass_fields__})
        done |= {(key_of(cell), tuple(run["seeds"])): run for run in result["runs"]}
    return done


def store(
    cells: Sequence[Run],
    seeds: Sequence[tuple[int, ...]],
    done: dict[tuple[str, tuple[int, ...]], Result],
    folder: Path,
    command: str,
) -> Result:
    """Write what is there, with how the two samples differ; return it."""
    results = []
    for cell in cells:
        runs = [done[key_of(cell), some] for some in seeds if (key_of(cell), some) in done]
        if runs:
            results.append(asdict(cell) | {"differences": summary(runs), "runs": runs})
    content = {"commit": "that of each run", "results": results}
    return write(NAME, command, content, folder=folder)
