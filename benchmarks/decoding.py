"""How fast tokens are generated: `python -m benchmarks decoding`, ours and transformers' `generate` in turns.

The model of benchmarks/language/_pretrained.py continues prompts of 12 tokens by 16, sampled at temperature 1, none of
which ends a text. Ours plays a token environment, which `generate` knows nothing of, and keeps the log-probability of
every token.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from pg_envs import TokenVectorEnv

import pg_agents as pg
from benchmarks.language._pretrained import packaged_model
from benchmarks.peers.machine import facts
from benchmarks.records import typed, write
from pg_agents.llm.huggingface import HuggingFacePolicy

PROMPT, NEW = 12, 16


def ours(model: Any, prompts: torch.Tensor) -> Callable[[], object]:  # noqa: ANN401
    """Return a function that plays an episode with each of the prompts, int64 [B, 12]."""
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


def seconds(play: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    play()
    return time.perf_counter() - started


@torch.no_grad()
def cached_error(model: Any, prompts: torch.Tensor) -> float:  # noqa: ANN401
    """Return the largest |ln π| by which acting with a cache differs from reading every text whole, without one."""
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


def main(arguments: list[str]) -> int:
    """Measure batches of 1, 8 and 64, and write results/decoding.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks decoding", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    model, _ = packaged_model()
    rows = []
    for batch in (1, 8, 64):
        prompts = torch.randint(100, 40_000, (batch, PROMPT), generator=torch.Generator().manual_seed(batch))
        sides = {"ours": ours(model, prompts), "generate": theirs(model, prompts)}
        for play in sides.values():
            play()  # warm
        times: dict[str, list[float]] = {name: [] for name in sides}
        for i in range(given.rounds):
            for name in sides if i % 2 else reversed(sides):
                times[name].append(seconds(sides[name]))
        ratio = median(other / own for own, other in zip(times["ours"], times["generate"], strict=True))
        speed = {name: batch * NEW / median(each) for name, each in times.items()}
        error = cached_error(model, prompts[:8])
        rows.append({"batch": batch, "tokens_per_second": speed, "ratio": ratio, "cached_error": error})
        print(
            f"  batch {batch:3}  ours {speed['ours']:7.1f} tokens/s  generate {speed['generate']:7.1f}  "
            f"ours is {ratio:.2f} × as fast; with and without the cache ln π differs by {error:.1e}",
            flush=True,
        )
    command = typed("decoding", arguments)
    write("decoding", command, {"machine": facts(), "threads": given.threads, "rows": rows}, indent=1)
    return 0 if all(row["ratio"] >= 1 for row in rows) else 1
