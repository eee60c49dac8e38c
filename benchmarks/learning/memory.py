"""Do agents with a memory find what none without one can reach?"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from benchmarks.learning import curves, scores
from benchmarks.learning.protocol import SEEDS, Cell, run, run_seeds, together
from benchmarks.suite.tables import Measured

__all__ = ["CELLS", "SEEDS", "plot", "run", "run_seeds", "table", "together"]

PPO = {"num_steps": 64, "learning_rate": "1e-3:0"}
CELLS = [
    Cell("Recall-v0/ppo", "ppo", "pg/Recall-v0", 32, 250_000, PPO, 1000),
    Cell("Recall-v0/ppo-with a GRU", "ppo", "pg/Recall-v0", 32, 250_000, PPO | {"recurrent": 32}, 1000),
]


def table(records: Sequence[Measured]) -> str:
    """Return the scores."""
    return scores.table(CELLS, SEEDS, records)


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw the two agents in one panel."""
    return curves.plot(CELLS, records, "A symbol is remembered through eight others")
