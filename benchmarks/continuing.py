"""Tasks that never end: the gain that the average-reward actor-critic reaches, and how well it knows it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pg_envs
import torch
from matplotlib import pyplot
from pg_envs import solve

import pg_agents as pg
from benchmarks.experiments import SEEDS
from benchmarks.records import RESULTS, write

NAME = "average-reward"
NUM_ENVS = 128
STEPS = {"pg/TwoStateMDP-v0": 400_000, "pg/RiverSwim-v0": 1_000_000, "pg/Garnet-v0": 1_000_000}


def exact_gain(mdp: pg_envs.TabularMDP) -> Callable[[pg.Agent, pg.Rollout], dict[str, float]]:
    """Return a probe: the gain of the agent's policy as it samples, computed from the model."""

    def probe(run: pg.Run) -> dict[str, float]:
        policy = run.agent.policy.probabilities()[0].double()  # type: ignore[operator]
        return {"exact_gain": solve.gain(mdp, (policy / policy.sum(-1, keepdim=True)).numpy())}

    return probe


def run(env_id: str, seed: int) -> dict[str, Any]:
    """Train with the agent's defaults; return the curve of exact gains and λ in the last tenth."""
    torch.set_num_threads(1)
    env = gym.make_vec(env_id, NUM_ENVS)
    mdp: pg_envs.TabularMDP = env.unwrapped.mdp  # type: ignore[attr-defined]
    agent = pg.AGENTS[NAME].for_env(env, seed=seed)
    total, probe = STEPS[env_id], exact_gain(mdp)
    with tempfile.TemporaryDirectory() as folder:
        summary = pg.train(agent, env, total_steps=total, seed=seed, run_dir=folder, progress=False, probes=(probe,))
        rows = [json.loads(line) for line in (Path(folder) / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if row["step"] > 0.9 * total]
    estimate, gain = np.mean([row["train/gain"] for row in last]), rows[-1]["exact_gain"]
    return {
        "seed": seed,
        "gain": gain,
        "estimate": float(estimate),
        "share_of_optimum": gain / solve.gain(mdp),
        "estimate_over_gain": float(estimate / gain),
        "wall_seconds": summary.wall_seconds,
        "curve": [[row["step"], row["exact_gain"], row["train/gain"]] for row in rows],
    }


def run_continuing(workers: int = 2) -> dict[str, Any]:
    """Run every task with every seed, write results/continuing.json and return its contents."""
    cells = [(env_id, seed) for env_id in STEPS for seed in SEEDS]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        done = dict(zip(cells, pool.map(run, *zip(*cells, strict=True)), strict=True))
    results = []
    for env_id, steps in STEPS.items():
        known = pg_envs.known_returns(gym.make(env_id))
        cell = {"agent": NAME, "env": env_id, "num_envs": NUM_ENVS, "total_steps": steps, "arguments": {}}
        numbers = {"random": known.random, "optimal": known.optimal}
        results.append(cell | numbers | {"runs": [done[env_id, seed] for seed in SEEDS]})
    return write("continuing", "python -m benchmarks continuing", {"results": results})


def plot_continuing() -> None:
    """Draw the exact gain of each run's policy and its λ over steps, a panel a task."""
    results = json.loads((RESULTS / "continuing.json").read_text())["results"]
    figure, grid = pyplot.subplots(1, len(results), figsize=(4 * len(results), 3.4), layout="constrained")
    for axes, cell in zip(grid, results, strict=True):
        for i, one in enumerate(cell["runs"]):
            steps, gain, estimate = np.array(one["curve"]).T
            axes.plot(steps, estimate, color="#edae49", linewidth=0.8, label=None if i else "λ, the agent's estimate")
            axes.plot(steps, gain, color="#00798c", linewidth=1.2, label=None if i else "exact gain of its policy")
        axes.axhline(cell["optimal"], color="grey", linestyle="--", linewidth=1, label="optimal gain")
        axes.axhline(cell["random"], color="grey", linestyle=":", linewidth=1, label="random policy")
        axes.set(title=f"{cell['env']}, {len(cell['runs'])} seeds", xlabel="environment steps")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:.0f} k")
    grid[0].set_ylabel("reward per step")
    grid[0].legend(fontsize=7, loc="lower right")
    figure.savefig(RESULTS / "continuing.png", dpi=110)
