"""Do transformers that begin at random learn to write answers, and sums that they have not seen?

Copy, reverse and sort have 256 prompts, parity has 16, all of which are learned from; of the sums a fifth is held out
and evaluated. "All right" is the share of greedy texts without a mistake, "sampled" the mean score of samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean, median

import numpy as np
import torch
from matplotlib.figure import Figure

import pg_agents as pg
from benchmarks.learning import curves, scores
from benchmarks.learning.protocol import (
    SEEDS,
    Cell,
    Result,
    evaluate,
    known,
    make_agent,
    train,
    training_env,
    tuned_cell,
)
from benchmarks.suite.samples import interval_text
from benchmarks.suite.tables import Measured
from pg_agents.statistics import interquartile_mean

__all__ = ["CELLS", "SEEDS", "plot", "run", "table"]

AGENTS = ("grpo", "rloo", "ppo", "reinforce-baseline")
TASKS = ("pg/Copy-v0", "pg/Reverse-v0", "pg/Sort-v0", "pg/Parity-v0", "pg/Addition-v0")
TEXTS = 1000  # of an evaluation
HELD_OUT = {"env_args": {"split": "train"}, "eval_args": {"split": "held_out"}}  # a fifth of the sums of two digits


def cell(agent: str, env: str) -> Cell:
    """Return the cell of an agent on a task, with its tuned settings."""
    tuned = tuned_cell(agent, env, episodes=TEXTS)
    return replace(tuned, **HELD_OUT) if env == "pg/Addition-v0" else tuned


CELLS = [cell(agent, env) for env in TASKS for agent in AGENTS]


def run(cell: Cell, seed: int) -> Result:
    """Train and evaluate; return what `protocol.run` does, and the shares of texts that are exactly right.

    `sampled` is the mean score of texts that are sampled; `exact` and `sampled_exact` are the shares with a score of 1,
    which nothing but the right text has.
    """
    torch.set_num_threads(1)
    env = training_env(cell)
    agent = make_agent(cell, env, [seed])
    before = evaluate(agent, cell, seed, greedy=False)
    (trained,) = train(cell, agent, env, seed)
    env.close()
    greedy, sampled = evaluate(agent, cell, seed), evaluate(agent, cell, seed, greedy=False)
    return {
        "score": greedy.mean_return,
        "untrained": before.mean_return,
        "known": known(cell),
        "exact": _exact(greedy),
        "sampled": sampled.mean_return,
        "sampled_exact": _exact(sampled),
        **trained,
    }


def _exact(evaluation: pg.Evaluation) -> float:
    return float(np.mean(np.array(evaluation.returns) == 1))


def table(records: Sequence[Measured]) -> str:
    """Return scores before and after, greedy and sampled, and what they took."""

    def rows(runs: list[Result]) -> list[list[str]]:
        after = [run["score"] for run in runs]
        exact, sampled = (interquartile_mean([run[key] for run in runs]) for key in ("exact", "sampled"))
        seconds = median(run["cpu_seconds"] for run in runs)
        speed = median(run["steps"] / run["cpu_seconds"] for run in runs)
        texts = [
            f"{median(run['steps'] for run in runs) / 1000:,.0f} k",
            f"{fmean(run['untrained'] for run in runs):.2f}",
            f"**{interquartile_mean(after):.3f}**",
        ]
        texts += [interval_text(after), f"{min(after):.3f}", f"{exact:.3f}", f"{sampled:.3f}"]
        return [[*texts, f"{seconds:.0f}", f"{speed / 1000:.1f} k", str(len(runs))]]

    heads = ("task/agent", "tokens", "untrained", "greedy, IQM", "95 % interval", "worst", "all right", "sampled")
    heads += ("processor, s", "tokens/s", "seeds")
    return scores.cell_table(heads, CELLS, records, rows)


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw a panel a task."""
    return curves.plot(CELLS, records, "Transformers that begin at random", steps="tokens")
