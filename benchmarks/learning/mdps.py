"""How near do agents come to the best policies of Markov decision processes, which are known?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from benchmarks.learning import curves, scores
from benchmarks.learning.protocol import SEEDS, Cell, run, run_seeds, together
from benchmarks.suite.tables import Measured

__all__ = ["CELLS", "SEEDS", "plot", "run", "run_seeds", "table", "together"]

STEPS = {"pg/GridWorld-v0": 100_000, "pg/Chain-v0": 200_000, "pg/Cliff-v0": 200_000, "FrozenLake-v1": 200_000}
AGENTS = ("reinforce", "reinforce-baseline", "actor-critic", "a2c", "ppo", "trpo", "npg", "grpo", "rloo")
# Where defaults do not do; chosen on seeds from 100.
ARGUMENTS: dict[tuple[str, str], dict[str, Any]] = {
    ("reinforce", "pg/Chain-v0"): {"normalize_advantages": True},
    ("reinforce-baseline", "pg/Chain-v0"): {"normalize_advantages": True},
    ("actor-critic", "pg/Chain-v0"): {"num_steps": 32, "learning_rate": 0.03, "normalize_advantages": True},
    ("reinforce", "FrozenLake-v1"): {"entropy_weight": 0.01},
    ("reinforce-baseline", "FrozenLake-v1"): {"entropy_weight": 0.01},
}


def cell(agent: str, env: str) -> Cell:
    """Return the cell of an agent in an environment."""
    name = f"{env.removeprefix('pg/')}/{agent}"
    return Cell(name, agent, env, 16, STEPS[env], ARGUMENTS.get((agent, env), {}), 1000)


CELLS = [cell(agent, env) for env in STEPS for agent in AGENTS]


def table(records: Sequence[Measured]) -> str:
    """Return the scores."""
    return scores.table(CELLS, SEEDS, records)


def plot(records: Sequence[Measured]) -> Figure | None:
    """Draw a panel an environment."""
    return curves.plot(CELLS, records, "Markov decision processes whose best policies are known")
