"""Control: agents with the settings that ship with the package, held against published scores."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from typing import Any

import torch

from benchmarks.experiments import RESULTS, SEEDS, Run, iqm, run
from pg_agents.tuned import TUNED

# What the best published of these agents return after as many steps (Stable-Baselines3's zoo, Tianshou), rounded down;
# on CartPole-v1, of those for which nothing is published, the return from which Gymnasium calls it solved.
ASKED = {
    ("ppo", "CartPole-v1"): 500.0,
    **{(agent, "CartPole-v1"): 475.0 for agent in ("a2c", "trpo", "npg", "grpo", "rloo")},
    ("ppo", "Acrobot-v1"): -85.0,
    ("ppo", "Pendulum-v1"): -180.0,
    ("ppo", "LunarLander-v3"): 240.0,
    ("ppo", "LunarLanderContinuous-v3"): 250.0,
    ("ppo", "HalfCheetah-v5"): 4500.0,
    ("ppo", "Hopper-v5"): 2600.0,
    ("ppo", "Walker2d-v5"): 3500.0,
    ("trpo", "Hopper-v5"): 2300.0,
}
FILE = RESULTS / "control.json"


def cells() -> list[Run]:
    """Return the agents and environments that have tuned settings and something to be held against."""
    tuned = ((agent, env, TUNED[agent, env]) for agent, env in ASKED)
    return [Run(agent, env, t.num_envs, t.total_steps, t.arguments) for agent, env, t in tuned]


def run_control(seeds: Sequence[int] = SEEDS, workers: int = 2) -> dict[str, Any]:
    """Run what results/control.json does not hold yet, write it down after every run, and return what it holds then."""
    done = _stored()
    missing = [(cell, seed) for seed in seeds for cell in cells() if (_key(cell), seed) not in done]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(run, cell, seed): (cell, seed) for cell, seed in missing}
        for future in as_completed(futures):
            cell, seed = futures[future]
            done[_key(cell), seed] = result = future.result()
            _store(done, seeds)
            score = f"{result['after']:9.1f}  {result['wall_seconds']:4.0f} s"
            print(f"{cell.agent:5} {cell.env:26} seed {seed} {score}", flush=True)
    return _store(done, seeds)


def _key(cell: Run) -> str:
    return json.dumps(asdict(cell), sort_keys=True)


def _stored() -> dict[tuple[str, int], dict[str, Any]]:
    """Return the runs that are there, by their cell and seed."""
    if not FILE.exists():
        return {}
    done = {}
    for result in json.loads(FILE.read_text())["results"]:
        cell = Run(**{name: result[name] for name in Run.__dataclass_fields__})
        done |= {(_key(cell), one["seed"]): one for one in result["runs"]}
    return done


def _store(done: dict[tuple[str, int], dict[str, Any]], seeds: Sequence[int]) -> dict[str, Any]:
    results = []
    for cell in cells():
        runs = [done[_key(cell), seed] for seed in seeds if (_key(cell), seed) in done]
        if runs:
            scores = {"iqm": iqm([one["after"] for one in runs]), "asked": ASKED[cell.agent, cell.env]}
            results.append(asdict(cell) | {"runs": runs} | scores)
    content = {"command": "python -m benchmarks control", "torch": torch.__version__, "results": results}
    fresh = FILE.with_suffix(".new")
    fresh.write_text(json.dumps(content) + "\n")
    fresh.replace(FILE)
    return content
