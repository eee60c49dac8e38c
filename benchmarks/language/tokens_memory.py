"""What does a step of token episodes cost in time and in memory at a window of 2,048?

64 rows, a window of 2,048 tokens (one [B, W] block of ids is 1 MiB), a policy that costs next to nothing, so that what
is measured is the environment and the collector. "One window a row" keeps blocks of tokens, "one window a row and step"
stacks them, as for environments whose observations do not append. Peaks are of numpy's arrays while one rollout is
collected.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from pg_envs import TokenVectorEnv
from torch import Tensor, nn

import pg_agents as pg
from benchmarks.suite.records import Record
from benchmarks.suite.tables import cell_rows, markdown
from pg_agents.distributions import Categorical
from pg_agents.policies import Policy

ROWS, WINDOW, PROMPT, VOCABULARY = 64, 2048, 16, 8
STEPS = (32, 128, 512, 1024)
MOST_STACKED = 128  # steps: 128 MiB of windows


@dataclass(frozen=True)
class Cell:
    """A way of collecting, or of stepping alone.

    Attributes:
        name: in tables.
        copy: whether the environment copies its observations.
        steps: of an episode.
        kept: what is kept of observations: "blocks", "stacked", or "" where the environment is stepped alone.
    """

    name: str
    copy: bool
    steps: int
    kept: str = ""


def _collected(kept: str, what: str, copy: bool, steps: int) -> Cell:
    return Cell(f"{what}, {_copies(copy)}, {steps:,} steps", copy, steps, kept)


def _copies(copy: bool) -> str:
    return "observations copied" if copy else "not copied"


CELLS = [
    *(Cell(f"env.step alone, {_copies(copy)}", copy, 512) for copy in (True, False)),
    *(_collected("blocks", "one window a row", copy, steps) for copy in (True, False) for steps in STEPS),
    *(_collected("stacked", "one window a row and step", True, steps) for steps in STEPS if steps <= MOST_STACKED),
]
SEEDS = (0,)
EXCLUSIVE = True


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return microseconds a step, and of a collector the most memory that arrays took."""
    torch.set_num_threads(1)
    if not cell.kept:
        return {"microseconds_a_step": min(env_microseconds(cell, seed) for _ in range(5))}
    return collect(cell, seed)


class Uniform(Policy):
    """All tokens alike, whatever was seen."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(VOCABULARY))

    def forward(self, observations: Any, memory: None = None, episode_starts: Tensor | None = None) -> Categorical:  # noqa: ANN401
        """Return the distribution for every observation."""
        return Categorical(self.bias.expand(*observations["length"].shape, VOCABULARY))


def make_env(cell: Cell) -> TokenVectorEnv:
    """Return 64 rows that none of the policy's tokens ends before the cell's steps."""
    return TokenVectorEnv(
        ROWS,
        prompts=[[1] * PROMPT],
        score=lambda prompt, completion: 0.0,
        vocabulary=VOCABULARY + 1,
        eos=VOCABULARY,
        max_new_tokens=cell.steps,
        window=WINDOW,
        copy=cell.copy,
    )


def env_microseconds(cell: Cell, seed: int) -> float:
    """Return what `env.step` takes, in microseconds."""
    env = make_env(cell)
    env.reset(seed=seed)
    actions = np.ones(ROWS, np.int64)
    started = time.perf_counter()
    for _ in range(cell.steps):
        env.step(actions)
    return (time.perf_counter() - started) / cell.steps * 1e6


def timed(collector: Iterator[pg.Rollout]) -> float:
    """Return the seconds that the next rollout takes."""
    started = time.perf_counter()
    next(collector)
    return time.perf_counter() - started


def collect(cell: Cell, seed: int) -> dict[str, Any]:
    """Return time a step, and the most memory that arrays took while an episode was collected."""
    collector = pg.collect_episodes(make_env(cell), Uniform(), seed=seed)
    collector.append_only = cell.kept == "blocks"
    next(collector)
    seconds = min(timed(collector) for _ in range(3))
    tracemalloc.start()
    rollout = next(collector)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rollout.mask.shape == (cell.steps, ROWS) and rollout.mask.all()
    return {
        "microseconds_a_step": seconds / cell.steps * 1e6,
        "peak_mib": peak / 2**20,
        "bytes_a_token": peak / (ROWS * cell.steps),
    }


def table(records: Sequence[Record]) -> str:
    """Return a row for each cell."""
    heads = ("kept of observations", "peak, MiB", "bytes a token", "µs a step")
    return markdown(heads, cell_rows(CELLS, records, lambda each: map(_row, each)), 1)


def _row(one: dict[str, Any]) -> list[str]:
    memory = [f"{one['peak_mib']:.1f}", f"{one['bytes_a_token']:,.0f}"] if "peak_mib" in one else ["", ""]
    return [*memory, f"{one['microseconds_a_step']:,.0f}"]


def plot(records: Sequence[Record]) -> None:
    """Return no picture: the table says it."""
