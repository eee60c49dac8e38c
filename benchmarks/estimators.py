"""Bias and spread of every estimator of the policy gradient, in one problem."""

from __future__ import annotations

import json
from typing import Any

import gymnasium as gym
import torch

from benchmarks.records import RESULTS, write
from pg_agents.gradients.report import draw, random_policy, report_on
from pg_agents.gradients.sources import problem_of

HORIZON, DISCOUNT, SAMPLES = 5, 0.8, 40_000


def run_estimators() -> dict[str, Any]:
    """Measure on five steps of the chain, write results/estimators.json and return its contents."""
    torch.set_num_threads(1)
    env = gym.make("pg/Chain-v0")
    problem = problem_of(env, horizon=HORIZON, discount=DISCOUNT)
    report = report_on(problem, random_policy(env, problem, seed=0), samples=SAMPLES).as_dict()
    return write("estimators", "python -m benchmarks estimators", report)


def plot_estimators() -> None:
    """Draw the README's picture of bias and spread."""
    draw(json.loads((RESULTS / "estimators.json").read_text())).savefig(RESULTS / "estimators.png", dpi=110)
