"""Does what language models are trained by point where the exact gradient points?

Every estimator of policy gradients from groups, without and with a KL divergence, of random policies and references in
two token tasks that can be enumerated: the cosine of its expectation with the exact gradient, and how much of that it
holds (ĝ · ∇J / ‖∇J‖²).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import pg_envs
import torch

from benchmarks.suite.records import Record
from benchmarks.suite.tables import by_cell, failures, markdown, results
from pg_agents.gradients.exact import log_table
from pg_agents.gradients.report import Report, random_policy, report_on
from pg_agents.gradients.sources import problem_of

ANSWER = (1, 2, 0)  # the last of which ends a text
OBJECTIVES = {"reward": "J", "reward-kl": "J − β KL", "kl": "−KL"}  # in tables


@dataclass(frozen=True)
class Cell:
    """A task, and what is to be maximised in it.

    Attributes:
        name: of the cell, and of its table.
        task: one of `TASKS`.
        objective: one of `OBJECTIVES`.
        policies: random policies, and as many references.
        group: texts that are compared.
        kl_weight: β.
    """

    name: str
    task: str
    objective: str
    policies: int = 20
    group: int = 3
    kl_weight: float = 0.1


def spelling() -> gym.Env:
    """Return the task of writing 1 2 and an end, of three tokens at most: 15 texts; the score is the share in place."""

    def score(prompt: tuple[int, ...], text: list[int]) -> float:
        return sum(one == other for one, other in zip(text, ANSWER, strict=False)) / len(ANSWER)

    return pg_envs.TokenEnv(prompts=[[1]], score=score, vocabulary=3, eos=0, max_new_tokens=3)


TASKS: dict[str, Callable[[], gym.Env]] = {
    "three-tokens": spelling,
    "shorter": lambda: gym.make("pg/Shorter-v0", length=1, symbols=1, max_new_tokens=2),
}
CELLS = [Cell(f"{task}-{objective}", task, objective) for task in TASKS for objective in OBJECTIVES]
SEEDS = (0,)


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return for every estimator the mean cosine over policies and the worst, and the mean scale and its ends."""
    torch.set_num_threads(1)
    env = TASKS[cell.task]()
    return {"rows": _summary([_report(env, cell, seed * cell.policies + i) for i in range(cell.policies)])}


def _report(env: gym.Env, cell: Cell, seed: int) -> Report:
    problem = problem_of(env)
    policy = random_policy(env, problem, 2 * seed)
    reference = log_table(random_policy(env, problem, 2 * seed + 1), problem).detach()
    if cell.objective == "reward-kl":
        problem = problem.beside(reference, cell.kl_weight)
    elif cell.objective == "kl":
        problem = problem.kl_only(reference)
    return report_on(problem, policy, batch_size=cell.group)


def _summary(reports: Sequence[Report]) -> list[dict[str, Any]]:
    rows = []
    for measured in zip(*(report.measurements for report in reports), strict=True):
        assert all(one.enumerated for one in measured)
        cosines, scales = ([getattr(one, name) for one in measured] for name in ("cosine", "scale"))
        rows.append(
            {
                "estimator": measured[0].estimator,
                "unbiased": measured[0].unbiased,
                "cosine": sum(cosines) / len(cosines),
                "worst_cosine": min(cosines),
                "scale": sum(scales) / len(scales),
                "least_scale": min(scales),
                "largest_scale": max(scales),
            }
        )
    return rows


def table(records: Sequence[Record]) -> dict[str, str]:
    """Return a table for each cell, by its name."""
    found = by_cell(records)
    return {cell.name: _table(cell, found.get(cell.name, {})) for cell in CELLS}


def _table(cell: Cell, records: Mapping[int, Record]) -> str:
    done = results(records)
    if not done:
        return f"{cell.name}: {failures(records) or 'missing'}"
    heads = ("estimator", "unbiased", "cosine", "worst", "scale", "from", "to")
    names = ("cosine", "worst_cosine", "scale", "least_scale", "largest_scale")
    rows = [
        [row["estimator"], "yes" if row["unbiased"] else "no", *(f"{row[name]:.3f}" for name in names)]
        for row in done[0]["rows"]
    ]
    return markdown(heads, rows, 2)


def plot(records: Sequence[Record]) -> None:
    """Return no picture: the tables say it."""
