"""Experiments: agents × environments × seeds, and the results of each run."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium as gym
import pg_envs
import torch
from gymnasium.vector import VectorEnv

import pg_agents as pg
from benchmarks.records import commit, write
from pg_agents.spaces.environments import make_env
from pg_agents.training.tuned import TUNED

SEEDS = range(5)  # reported; hyperparameters were chosen on seeds 100 and above


@dataclass(frozen=True)
class Run:
    """One cell of an experiment: an agent in an environment.

    Attributes:
        agent: the agent's name.
        env: the environment's id.
        num_envs: environments that are stepped together.
        total_steps: valid transitions to learn from.
        arguments: the agent's arguments that differ from its defaults.
        episodes: episodes of the greedy evaluation afterwards, in new environments.
        env_args: arguments for the environment's constructor.
        wrappers: of each single environment, as texts (`pg_agents.spaces.wrappers`).
    """

    agent: str
    env: str
    num_envs: int
    total_steps: int
    arguments: dict[str, Any] = field(default_factory=dict)
    episodes: int = 100
    env_args: dict[str, Any] = field(default_factory=dict)
    wrappers: list[str] = field(default_factory=list)


AGENTS = ("reinforce", "reinforce-baseline", "actor-critic")

CARTPOLE = [Run(agent, "CartPole-v1", 32 if agent == "actor-critic" else 16, 200_000) for agent in AGENTS]

TABULAR = [
    *(Run(agent, "pg/GridWorld-v0", 16, 100_000, episodes=1000) for agent in AGENTS),
    Run("reinforce", "pg/Chain-v0", 16, 200_000, {"normalize_advantages": True}, 1000),
    Run("reinforce-baseline", "pg/Chain-v0", 16, 200_000, {"normalize_advantages": True}, 1000),
    Run(
        "actor-critic",
        "pg/Chain-v0",
        16,
        200_000,
        {"num_steps": 32, "learning_rate": 0.03, "normalize_advantages": True},
        1000,
    ),
    Run("reinforce", "FrozenLake-v1", 16, 200_000, {"entropy_weight": 0.01}, 1000),
    Run("reinforce-baseline", "FrozenLake-v1", 16, 200_000, {"entropy_weight": 0.01}, 1000),
    Run("actor-critic", "FrozenLake-v1", 16, 200_000, episodes=1000),
]

RECALL = [
    Run("ppo", "pg/Recall-v0", 32, 250_000, {"num_steps": 64, "learning_rate": "1e-3:0"}, 1000),
    Run("ppo", "pg/Recall-v0", 32, 250_000, {"num_steps": 64, "learning_rate": "1e-3:0", "recurrent": 32}, 1000),
]

EXPERIMENTS = {"cartpole": CARTPOLE, "tabular": TABULAR, "recall": RECALL}


def run(cell: Run, seed: int) -> dict[str, Any]:
    """Train and evaluate; return the summary, the returns before and after, and the learning curve."""
    torch.set_num_threads(1)
    env = training_env(cell)
    agent = pg.AGENTS[cell.agent].for_env(env, seed=seed, **cell.arguments)
    before = evaluate(agent, cell, seed, greedy=False)
    summary, curve = learn(agent, env, cell, seed)
    after = evaluate(agent, cell, seed, greedy=True)
    return {**summary, "before": before, "after": after, "curve": curve}


def tuned_run(agent: str, env: str, episodes: int = 100) -> Run:
    """Return the cell of an agent in an environment with the package's tuned settings."""
    found = TUNED[agent, env]
    how = {"env_args": found.env_args, "wrappers": list(found.wrappers)}
    return Run(agent, env, found.num_envs, found.total_steps, found.arguments, episodes, **how)


def training_env(cell: Run) -> VectorEnv:
    """Return the environments that a cell's agent learns in."""
    groups = "group_size" in pg.AGENTS[cell.agent].argument_names()
    return make_env(cell.env, cell.num_envs, cell.env_args, wrappers=cell.wrappers, a_seed_each=groups)


def learn(agent: pg.Agent, env: VectorEnv, cell: Run, seed: int) -> tuple[dict[str, Any], list[list[float]]]:
    """Train; return the summary with the commit, and the mean return of the last 100 episodes by steps."""
    with tempfile.TemporaryDirectory() as folder:
        summary = pg.train(agent, env, total_steps=cell.total_steps, seed=seed, run_dir=folder, progress=False)
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    done = asdict(summary) | {"commit": commit()}
    return done, [[row["step"], row["rollout/ep_rew_mean"]] for row in rows if "rollout/ep_rew_mean" in row]


def evaluate(agent: pg.Agent, cell: Run, seed: int, *, greedy: bool) -> float:
    """Return the mean return in fresh environments, with seeds that no training has had."""
    fresh = make_env(cell.env, 50, cell.env_args, wrappers=cell.wrappers)
    return pg.evaluate(agent, fresh, episodes=cell.episodes, greedy=greedy, seed=seed).mean_return


def run_all(name: str, seeds: Sequence[int] = SEEDS, workers: int = 2) -> dict[str, Any]:
    """Run an experiment, write results/`name`.json and return its contents."""
    cells = [(cell, seed) for cell in EXPERIMENTS[name] for seed in seeds]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(run, *zip(*cells, strict=True)))
    results = []
    for i, cell in enumerate(EXPERIMENTS[name]):
        runs = done[i * len(seeds) : (i + 1) * len(seeds)]
        results.append(asdict(cell) | known(cell) | {"runs": runs, "iqm": iqm([one["after"] for one in runs])})
    return write(name, f"python -m benchmarks {name}", {"results": results})


def known(cell: Run) -> dict[str, float | None]:
    """Return the random, the optimal and the best memoryless return, computed from the model where there is one."""
    env = gym.make(cell.env)
    returns = pg_envs.known_returns(env)
    if cell.env == "FrozenLake-v1":
        returns = pg_envs.MDPEnv(pg_envs.TabularMDP.from_gymnasium(env)).known_returns(env.spec.max_episode_steps)
    return {"random": returns.random, "optimal": returns.optimal, "memoryless": returns.memoryless}


def iqm(values: Sequence[float]) -> float:
    """Return the interquartile mean: the mean without the lowest and the highest quarter (rounded down)."""
    cut = len(values) // 4
    middle = sorted(values)[cut : len(values) - cut]
    return sum(middle) / len(middle)
