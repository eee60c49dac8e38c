"""How far is each estimator of the policy gradient from the exact gradient, and how much do its estimates vary?

Of one random policy, in a problem that can be enumerated: bias, cosine with the exact gradient, and variance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import torch

from benchmarks.suite.records import Record
from benchmarks.suite.tables import by_cell, failures, markdown, results
from pg_agents.gradients.report import draw, random_policy, report_on
from pg_agents.gradients.sources import problem_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Cell:
    """A problem.

    Attributes:
        name: in tables.
        env: the environment's id.
        horizon: steps of an episode.
        discount: γ.
        samples: trajectories where an expectation cannot be enumerated.
    """

    name: str
    env: str
    horizon: int
    discount: float
    samples: int


CELLS = (Cell("five steps of the chain", "pg/Chain-v0", 5, 0.8, 40_000),)
SEEDS = (0,)


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return the report on every estimator, for the random policy of a seed."""
    torch.set_num_threads(1)
    env = gym.make(cell.env)
    problem = problem_of(env, horizon=cell.horizon, discount=cell.discount)
    return report_on(problem, random_policy(env, problem, seed), samples=cell.samples).as_dict()


def table(records: Sequence[Record]) -> str:
    """Return a row for each estimator, of every problem."""
    found = by_cell(records)
    return "\n\n".join(part for cell in CELLS for part in _parts(cell, found.get(cell.name, {})))


def _parts(cell: Cell, records: Mapping[int, Record]) -> Iterator[str]:
    """Yield what is missing or failed, and a title and a table for each policy."""
    if said := failures(records) or ("" if records else "missing"):
        yield f"{cell.name}: {said}"
    for report in results(records):
        yield f"{report['title']}; batches of {report['batch_size']}."
        heads = ("estimator", "unbiased in theory", "bias / ‖∇J‖", "cosine", "spread / ‖∇J‖", "signal-to-noise")
        yield markdown(heads, (_row(row, report["gradient_norm"]) for row in report["rows"]), 2)


def _row(row: dict[str, Any], norm: float) -> list[str]:
    """Return the texts of a row; a bias that is rounding is 0, one that was sampled has its standard error."""
    error = "" if row["enumerated"] else f" ± {row['error'] / norm:.1g}"
    bias = "0" if row["z"] == 0 else f"{row['bias'] / norm:.2g}{error}"
    numbers = (f"{row['cosine']:.4f}", f"{row['variance'] ** 0.5 / norm:.3g}", f"{row['snr']:.2g}")
    return [row["estimator"], "yes" if row["unbiased"] else "no", bias, *numbers]


def plot(records: Sequence[Record]) -> Figure | None:
    """Return the picture of the first problem: bias, spread and signal of each estimator."""
    done = results(by_cell(records).get(CELLS[0].name, {}))
    return draw(done[0]) if done else None
