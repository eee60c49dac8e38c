"""How long does one action take, by `act` and by an exported policy in onnxruntime, in turns?

A policy for CartPole-v1 with two hidden layers of 64, one thread; greedy actions. The table has the processor's time,
which depends less on what else the machine does, and its load, the mean number of processes that wanted to run.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import pg_agents as pg
from benchmarks.suite.tables import Measured, cell_rows, markdown, number

EXTRAS = ("onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Cell:
    """A batch of observations.

    Attributes:
        name: "batch/observations".
        batch: observations of one call.
        calls: of a round.
        rounds: of each side.
    """

    name: str
    batch: int
    calls: int = 2_000
    rounds: int = 9


CELLS = [Cell(f"batch/{batch}", batch) for batch in (1, 64)]
SEEDS = (0,)
EXCLUSIVE = True


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return both sides' microseconds a call, by the wall's clock and by the processor's, and the machine's load."""
    import onnxruntime  # of the extra `onnx`

    torch.set_num_threads(1)
    agent = pg.PPO.for_env("CartPole-v1", seed=seed)
    observations = np.random.default_rng(seed).standard_normal((cell.batch, 4), dtype=np.float32)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "policy.onnx"
        agent.export(path)
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    sides: dict[str, Callable[[], object]] = {
        "act": lambda: agent.act(observations, greedy=True),
        "onnxruntime": lambda: session.run(["action"], {"observation": observations}),
    }
    return measured(sides, cell) | {"load": os.getloadavg()[0]}


def measured(sides: dict[str, Callable[[], object]], cell: Cell) -> dict[str, Any]:
    """Return what a call of each side takes, the median of rounds in turns, after one to warm up."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for i in range(cell.rounds + 1):
        for name in sides if i % 2 else reversed(sides):
            started, clock = time.perf_counter(), time.process_time()
            for _ in range(cell.calls):
                sides[name]()
            times[name].append((time.perf_counter() - started, time.process_time() - clock))
    each = {
        name: [median(column) / cell.calls * 1e6 for column in zip(*times[name][1:], strict=True)] for name in sides
    }
    return {
        "wall": {name: pair[0] for name, pair in each.items()},
        "clock": {name: pair[1] for name, pair in each.items()},
    }


def table(records: Sequence[Measured]) -> str:
    """Return microseconds a call."""

    def rows(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
        for run in runs:
            for name in ("act", "onnxruntime"):
                yield [f"`{name}`", number(run["clock"][name], 2), number(run["load"], 2)]

    heads = ("observations a call", "by", "µs of the processor a call", "load")
    return markdown(heads, cell_rows(CELLS, records, rows), 2)


def numbers(records: Sequence[Measured]) -> dict[str, str]:
    """Return both sides' microseconds of the processor for one observation."""
    found = [one.result["clock"] for one in records if one.result is not None and one.cell["name"] == CELLS[0].name]
    return {name: number(found[-1][name], 2) for name in ("act", "onnxruntime")} if found else {}
