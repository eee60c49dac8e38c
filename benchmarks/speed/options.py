"""What do torch.compile, a second thread and a GPU change, in the same work: options that are not defaults?

The work is that of `same_work`: PPO on 8 CartPoles. Medians over iterations, of collecting and of learning. What
compiles does so in its first update. A machine without a GPU leaves the cells of CUDA out: `--only '*thread*'`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

import pg_agents as pg
from benchmarks.speed._sides.making import make_env
from benchmarks.speed.same_work import SAME_WORK
from benchmarks.suite.tables import NONE, Measured, by_cell, cell_rows, markdown, results

WARM_UP = 5  # iterations, the first of which compiles


@dataclass(frozen=True)
class Cell:
    """An option.

    Attributes:
        name: what it is called.
        threads: of the process.
        compiled: whether `agent.compile()` is called.
        device: of the agent.
        iterations: that are timed.
    """

    name: str
    threads: int = 1
    compiled: bool = False
    device: str = "cpu"
    iterations: int = 60


PLAIN = Cell("one thread")
CELLS = [
    PLAIN,
    Cell("two threads", threads=2),
    Cell("one thread, agent.compile()", compiled=True),
    Cell("CUDA", device="cuda"),
    Cell("CUDA, agent.compile()", device="cuda", compiled=True),
]
SEEDS = (0,)
EXCLUSIVE = True


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return the median milliseconds of collecting and of learning, and the seconds of the first learning.

    Raises:
        RuntimeError: there is no GPU, and the cell is one of CUDA's.
    """
    if cell.device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("this machine has no GPU with CUDA; leave the cell out by --only '*thread*'")
    torch.set_num_threads(cell.threads)
    settings = SAME_WORK.settings | SAME_WORK.sides["ours"].settings
    env = make_env(settings)
    agent = pg.PPO.for_env(env, seed=seed, **settings["arguments"]).to(cell.device)
    if cell.compiled:
        agent.compile()  # the loss
    collector = pg.collect_steps(env, agent.policy, settings["arguments"]["num_steps"])
    times, started_cpu = [], time.process_time()
    for i in range(WARM_UP + cell.iterations):
        if i == WARM_UP:
            started_cpu = time.process_time()
        started = time.perf_counter()
        rollout = next(collector).to(cell.device)
        between = time.perf_counter()
        float(agent.update(rollout)["policy_loss"])  # waits for a GPU
        times.append((between - started, time.perf_counter() - between))
    processor = 1e3 * (time.process_time() - started_cpu) / cell.iterations
    collecting, learning = (1e3 * median(column) for column in zip(*times[WARM_UP:], strict=True))
    return {"collecting": collecting, "learning": learning, "first_seconds": times[0][1], "processor": processor}


def pays_after(row: dict[str, Any], plain: dict[str, Any]) -> float | None:
    """Return the iterations after which an option has saved what its first update cost; None: it never does."""
    saved = plain["collecting"] + plain["learning"] - row["collecting"] - row["learning"]
    return 1e3 * (row["first_seconds"] - plain["first_seconds"]) / saved if saved > 0 else None


def table(records: Sequence[Measured]) -> str:
    """Return the milliseconds of an iteration with every option."""
    plain = results(by_cell(records).get(PLAIN.name, {}))

    def rows(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
        for run in runs:
            pays = pays_after(run, plain[0]) if plain and run is not plain[0] else None
            clock = f"{run['processor']:.2f}" if "processor" in run else NONE
            first = f"{run['first_seconds']:.2f}"
            ends = "never" if pays is None else "at once" if pays <= 0 else f"{pays:,.0f} iterations"
            said = NONE if not plain or run is plain[0] else ends
            yield [f"{run['collecting']:.2f}", f"{run['learning']:.2f}", clock, first, said]

    heads = ("option", "collecting, ms", "learning, ms", "processor, ms", "first update, s", "pays after")
    return markdown(heads, cell_rows(CELLS, records, rows), 1)


def numbers(records: Sequence[Measured]) -> dict[str, str]:
    """Return the milliseconds of learning, the seconds of compiling, and what a second thread saves of learning."""
    found = {name: results(runs)[0] for name, runs in by_cell(records).items() if results(runs)}
    names = {"plain": PLAIN.name, "compiled": "one thread, agent.compile()", "two-threads": "two threads"}
    said = {f"learning-{key}": f"{found[name]['learning']:.1f}" for key, name in names.items() if name in found}
    if names["compiled"] in found:
        said["compiling"] = f"{found[names['compiled']]['first_seconds']:.0f}"
    if {PLAIN.name, "two threads"} <= found.keys():
        said["second-thread"] = f"{1 - found['two threads']['learning'] / found[PLAIN.name]['learning']:.0%}"
    return said
