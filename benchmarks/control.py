"""Control: agents with the package's tuned settings, compared with published scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.experiments import SEEDS, Run, iqm, run, tuned_run
from benchmarks.resumed import run_missing

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


def cells() -> list[Run]:
    """Return the agents and environments that have tuned settings and a score to compare with."""
    return [tuned_run(agent, env) for agent, env in ASKED]


def run_control(seeds: Sequence[int] = SEEDS, workers: int = 2) -> dict[str, Any]:
    """Run what is missing in results/control.json, save it after every run, and return its contents."""
    return run_missing("control", cells(), run, _summary, seeds, workers)


def _summary(cell: Run, runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"iqm": iqm([one["after"] for one in runs]), "asked": ASKED[cell.agent, cell.env]}
