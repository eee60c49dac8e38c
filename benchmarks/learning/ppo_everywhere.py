"""What does PPO return in an environment of each kind, beside what is known?

Of what other experiments have measured, one row a kind, by the same agent everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.learning import classic, mdps, memory, mujoco, scores, tokens
from benchmarks.learning.protocol import SEEDS
from benchmarks.suite.tables import Measured

SOURCES = ("mdps", "memory", "classic", "mujoco", "tokens")
SHOWN = (
    "GridWorld-v0/ppo", "Cliff-v0/ppo", "FrozenLake-v1/ppo", "Recall-v0/ppo-with a GRU", "CartPole-v1/ppo",
    "Pendulum-v1/ppo", "LunarLander-v3/ppo", "HalfCheetah-v5/ppo", "Sort-v0/ppo",
)  # fmt: skip
FOUND = {cell.name: cell for source in (mdps, memory, classic, mujoco, tokens) for cell in source.CELLS}
CELLS_SHOWN = [FOUND[name] for name in SHOWN]


def table(records: Sequence[Measured]) -> str:
    """Return the scores."""
    return scores.table(CELLS_SHOWN, SEEDS, records)
