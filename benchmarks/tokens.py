"""Transformers that begin at random learn to write: four agents side by side on five tasks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch

import pg_agents as pg
from benchmarks.experiments import Run, iqm, known, learn
from benchmarks.resumed import run_missing
from pg_agents.training.tuned import TUNED

AGENTS = ("grpo", "rloo", "ppo", "reinforce-baseline")
# What is learned from and what is asked afterwards, where they differ: of the sums of two digits a fifth is held out.
TASKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "pg/Copy-v0": ({}, {}),
    "pg/Reverse-v0": ({}, {}),
    "pg/Sort-v0": ({}, {}),
    "pg/Parity-v0": ({}, {}),
    "pg/Addition-v0": ({"split": "train"}, {"split": "held_out"}),
}
TEXTS = 1000  # of an evaluation


def cells() -> list[Run]:
    """Return the agents on the tasks, with their tuned settings."""
    tuned = ((agent, env, TUNED[agent, env]) for env in TASKS for agent in AGENTS)
    return [Run(agent, env, t.num_envs, t.total_steps, t.arguments, TEXTS) for agent, env, t in tuned]


def run_tokens(seeds: Sequence[int] = range(3), workers: int = 2) -> dict[str, Any]:
    """Run what is missing in results/tokens.json, save it after every run, and return its contents."""
    return run_missing("tokens", cells(), run, _summary, seeds, workers)


def run(cell: Run, seed: int) -> dict[str, Any]:
    """Train and evaluate; return scores, the share of texts that are exactly right, the curve and what it took.

    `cpu_seconds` are of one thread that learned, whatever else the machine did in the meantime.
    """
    torch.set_num_threads(1)
    asked, asked_afterwards = TASKS[cell.env]
    env, fresh = gym.make_vec(cell.env, cell.num_envs, **asked), gym.make_vec(cell.env, 500, **asked_afterwards)
    agent = pg.AGENTS[cell.agent].for_env(env, seed=seed, **cell.arguments)

    def evaluate(greedy: bool) -> pg.Evaluation:
        return pg.evaluate(agent, fresh, episodes=cell.episodes, greedy=greedy, seed=seed)

    before = evaluate(greedy=False)
    started = time.process_time()
    summary, curve = learn(agent, env, cell, seed)
    cpu_seconds = time.process_time() - started
    greedy, sampled = evaluate(greedy=True), evaluate(greedy=False)
    return {
        **summary,
        "cpu_seconds": cpu_seconds,
        "tokens_per_cpu_second": summary["total_steps"] / cpu_seconds,
        "before": before.mean_return,
        "after": greedy.mean_return,
        "exact": _exact(greedy),
        "sampled": sampled.mean_return,
        "sampled_exact": _exact(sampled),
        "curve": curve,
    }


def _exact(evaluation: pg.Evaluation) -> float:
    """Return the share of texts with a score of 1, which nothing but the right one has."""
    return float(np.mean(np.array(evaluation.returns) == 1))


def _summary(cell: Run, runs: list[dict[str, Any]]) -> dict[str, Any]:
    scores = {name: [one[name] for one in runs] for name in ("after", "exact", "sampled", "cpu_seconds")}
    return known(cell) | {
        "iqm": iqm(scores["after"]),
        "worst": min(scores["after"]),
        "exact": iqm(scores["exact"]),
        "sampled": iqm(scores["sampled"]),
        "seconds": float(np.median(scores["cpu_seconds"])),
    }


def markdown(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the rows of a table in Markdown."""
    heads = (
        "task",
        "agent",
        "tokens",
        "untrained",
        "greedy",
        "worst seed",
        "all right",
        "sampled",
        "seconds",
        "tokens/s",
    )
    yield f"| {' | '.join(heads)} |"
    yield "|---" * len(heads) + "|"
    for cell in results:
        runs = cell["runs"]
        scores = [f"{cell[name]:.3f}" for name in ("iqm", "worst", "exact", "sampled")]
        scores[0] = f"**{scores[0]}**"
        before = f"{np.mean([one['before'] for one in runs]):.2f}"
        speed = f"{np.median([one['tokens_per_cpu_second'] for one in runs]) / 1000:.1f} k"
        seconds = f"{cell['seconds']:.0f}"
        asked = (cell["env"], f"`{cell['agent']}`", f"{cell['total_steps'] / 1000:,.0f} k", before)
        yield f"| {' | '.join((*asked, *scores, seconds, speed))} |"
