"""Does an agent of each kind learn something measurable, of a problem of each kind, in two minutes?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.learning import protocol
from benchmarks.learning.protocol import Cell, Result, together
from benchmarks.suite.tables import Measured, by_cell, cell_rows, markdown, number

__all__ = ["CELLS", "SEEDS", "run", "run_seeds", "table", "together"]

SEEDS = (0, 1)


@dataclass(frozen=True)
class Small(Cell):
    """A cell that is learned within seconds.

    Attributes:
        at_least: the score below which it has not been learned.
    """

    at_least: float = 0.0


COPY = {"minibatch_size": 512, "learning_rate": "2e-3:0", "entropy_weight": 0.01}
PENDULUM = {"num_steps": 128, "learning_rate": "1e-3:0", "discount": 0.9, "normalize_rewards": True}
CATCH = {"learning_rate": "3e-3:0", "entropy_weight": 0.01}
CELLS = [
    Small("bandit/reinforce", "reinforce", "pg/TwoArmedBandit-v0", 16, 8_000, episodes=1000, at_least=0.57),
    Small("MDP/actor-critic", "actor-critic", "pg/GridWorld-v0", 16, 10_000, episodes=200, at_least=0.5),
    Small("control/trpo", "trpo", "CartPole-v1", 16, 20_000, episodes=20, at_least=100.0),
    Small("actions of real numbers/ppo", "ppo", "Pendulum-v1", 16, 40_000, PENDULUM, 20, at_least=-900.0),
    Small("tokens/grpo", "grpo", "pg/Copy-v0", 256, 25_000, COPY, 200, at_least=0.6),
    Small("memory/ppo", "ppo", "pg/Recall-v0", 32, 30_000, {"num_steps": 64, "learning_rate": 3e-3, "recurrent": 16},
          200, {"delay": 2}, at_least=1.6),
    Small("pictures/a2c", "a2c", "pg/Catch-v0", 16, 8_000, CATCH, 100, {"rows": 5, "columns": 5, "pixels": 4},
          at_least=0.0),
]  # fmt: skip


def run(cell: Small, seed: int) -> Result:
    """Train and evaluate.

    Raises:
        ArithmeticError: the score is below what is asked: it has not been learned.
    """
    return checked(cell, protocol.run(cell, seed))


def run_seeds(cell: Small, seeds: Sequence[int]) -> dict[int, Result]:
    """Do the same for several seeds, as `protocol.run_seeds` does."""
    return {seed: checked(cell, result) for seed, result in protocol.run_seeds(cell, seeds).items()}


def checked(cell: Small, result: Result) -> Result:
    """Return the result of a cell that has been learned."""
    if result["score"] < cell.at_least:
        raise ArithmeticError(f"returns {result['score']:.4g}, less than {cell.at_least:g}: it has not been learned")
    return result | {"asked": cell.at_least}


def table(records: Sequence[Measured]) -> str:
    """Return what each cell returned before it had learned and after, and what is asked."""

    def rows(runs: list[Result]) -> list[list[str]]:
        ends = (" and ".join(number(run[key], 3) for run in runs) for key in ("untrained", "score"))
        return [[*ends, number(runs[-1]["asked"])]]

    heads = ("cell", "untrained", "learned", "at least")
    took = [run.seconds for runs in by_cell(records).values() for run in runs.values() if run.seconds is not None]
    said = f"\n\nOne after the other, all of them take {number(sum(took), 3)} s." if took else ""
    return markdown(heads, cell_rows(CELLS, records, rows), 1) + said
