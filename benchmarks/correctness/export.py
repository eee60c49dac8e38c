"""Do exported policies act as the agent does?

A policy of each kind with random parameters, far from uniform, on 10,000 observations drawn from its space (in ten
batches; one with a memory goes on from batch to batch): greedy actions, and sampled ones with the random numbers that
`act` draws. Logits and means are compared before anything is rounded, clipped or squashed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.correctness._export.beside import difference, file_runner
from benchmarks.correctness._export.kinds import KINDS
from benchmarks.suite.tables import Measured, by_cell, cell_rows, markdown, number, results
from pg_agents.export.graph import Graph

STEPS = 10
EXTRAS = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Cell:
    """A kind of policy.

    Attributes:
        name: one of `KINDS`.
        observations: how many are compared.
    """

    name: str
    observations: int = 10_000


CELLS = [Cell(name) for name in KINDS]
SEEDS = (0,)


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return how greedy and sampled actions of the exported file differ from the agent's."""
    torch.set_num_threads(1)
    kind, found = KINDS[cell.name], {}
    agent = kind.agent()
    assert agent.spaces is not None
    for sample in (False, True):
        graph = Graph(agent.policy, *agent.spaces, sample=sample, **kind.how)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "policy.onnx"
            agent.export(path, sample=sample, **kind.how)
            how = {"rows": cell.observations // STEPS, "steps": STEPS, "seed": seed}
            found["sampled" if sample else "greedy"] = asdict(difference(agent, graph, file_runner(path), **how))
    return found


def table(records: Sequence[Measured]) -> str:
    """Return a row for each kind: the largest difference, and how many actions are equal."""

    def rows(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
        for run in runs:
            both = [run["greedy"], run["sampled"]]
            largest = (max(one[name] for one in both) for name in ("parameters", "memory"))
            equal = (f"{one['equal']:,} of {one['observations']:,}" for one in both)
            yield [*(number(value, 2) for value in largest), *equal]

    heads = (
        "policy",
        "logits or means, largest Δ",
        "memory, largest Δ",
        "greedy actions equal",
        "sampled actions equal",
    )
    return markdown(heads, cell_rows(CELLS, records, rows), 1)


def numbers(records: Sequence[Measured]) -> dict[str, str]:
    """Return the largest difference of all."""
    runs = [run[how] for cell in by_cell(records).values() for run in results(cell) for how in ("greedy", "sampled")]
    return {"largest": number(max(max(run["parameters"], run["memory"]) for run in runs), 2)} if runs else {}
