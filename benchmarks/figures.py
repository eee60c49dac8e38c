"""Figures 1 and 2 of the lecture note (bandits), with bands over independent learners that are one batch."""

from __future__ import annotations

import time
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import pg_agents as pg
from benchmarks.records import write

LEARNERS, PULLS, EVERY = 400, 20_000, 50
SETTINGS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "Figure 1: p = (0.6, 0.4)": ("pg/TwoArmedBandit-v0", "reinforce", {}),
    "Figure 2: p = (0.96, 0.94), no baseline": ("pg/TwoArmedBanditClose-v0", "reinforce", {}),
    "Figure 2: p = (0.96, 0.94), running average": (
        "pg/TwoArmedBanditClose-v0",
        "reinforce-baseline",
        {"baseline": "running-average"},
    ),
}
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)


def learn(env_id: str, name: str, arguments: dict[str, Any], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return π(0) after every `EVERY` pulls, [PULLS / EVERY + 1, LEARNERS], and θ of both arms, mean over learners."""
    env = gym.make_vec(env_id, LEARNERS)
    agent = pg.AGENTS[name].for_env(env, num_learners=LEARNERS, learning_rate=0.05, optimizer="sgd", **arguments)
    chosen, scores = [np.full(LEARNERS, 0.5)], [np.zeros(2)]

    def probe(run: pg.Run) -> None:
        chosen.append(run.agent.policy.probabilities()[:, 0, 0].numpy())
        scores.append(run.agent.policy.logits.detach().mean((0, 1)).numpy())

    steps = LEARNERS * PULLS
    pg.train(agent, env, total_steps=steps, log_every=LEARNERS * EVERY, probes=[probe], seed=seed)
    return np.stack(chosen), np.stack(scores)


def run_figures() -> dict[str, Any]:
    """Run the three settings, write results/bandits.json and return its contents."""
    torch.set_num_threads(1)
    started, settings = time.perf_counter(), {}
    for title, setting in SETTINGS.items():
        chosen, scores = learn(*setting)
        rows = {pulls: statistics(chosen[round(pulls / EVERY)]) for pulls in (1_000, 5_000, 10_000, 20_000)}
        settings[title] = {
            "statistics": rows,
            "quantiles": np.quantile(chosen, QUANTILES, axis=1).round(4).tolist(),
            "one_learner": chosen[:, 0].round(4).tolist(),
            "scores": scores.T.round(4).tolist(),
        }
    content = {
        "learners": LEARNERS,
        "pulls": PULLS,
        "every": EVERY,
        "seconds": time.perf_counter() - started,
        "settings": settings,
    }
    return write("bandits", "python -m benchmarks bandits", content)


def statistics(chosen: np.ndarray) -> dict[str, float]:
    """Return the statistics of π(0) over learners, with the standard error of the mean."""
    return {
        "mean": float(chosen.mean()),
        "standard_error": float(chosen.std() / len(chosen) ** 0.5),
        "above_0.9": float((chosen > 0.9).mean()),
        "below_0.1": float((chosen < 0.1).mean()),
        "median": float(np.median(chosen)),
    }
