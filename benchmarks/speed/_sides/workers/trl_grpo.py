"""A run of TRL's GRPOTrainer, in the peers' own Python: settings as JSON in, one line of JSON out.

A pretrained model learns to add two digits. The clock runs from the beginning of the first step to the end of the last;
imports, weights, tokenizer and trainer are made before it.
"""

from __future__ import annotations

import importlib.util
import json
import random
import re
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import datasets  # type: ignore[import-not-found]
import torch
import transformers
import trl  # type: ignore[import-not-found]

QUESTION = "Question: What is {}+{}?\nAnswer:"


class Clock(transformers.TrainerCallback):
    """Notes when steps begin and end, by the wall's and by the processor's time."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.processor: list[float] = []

    def _note(self) -> None:
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())

    def on_train_begin(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Note the time at which the first step begins."""
        self._note()

    def on_step_end(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Note the time."""
        self._note()


def right(completions: list[str], total: list[int], **_: Any) -> list[float]:  # noqa: ANN401
    """Return 1 for each completion whose first integer is the sum, else 0."""
    found = [re.search(r"-?\d+", completion) for completion in completions]
    return [float(match is not None and int(match[0]) == value) for match, value in zip(found, total, strict=True)]


def load(package: str) -> tuple[Any, Any]:
    """Return the model, in float32, and the tokenizer of the .gguf file that a package brings."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    file = next(Path(spec.origin).parent.glob("*.gguf"))
    source: dict[str, Any] = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
    source |= {"local_files_only": True, "trust_remote_code": False}
    dense = transformers.GgufConfig(dequantize=True)
    model = transformers.AutoModelForCausalLM.from_pretrained(**source, quantization_config=dense, dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return model, tokenizer


def main(settings: dict[str, Any]) -> dict[str, Any]:
    """Make the run that `settings` describe and return its results."""
    torch.set_num_threads(settings["threads"])
    model, tokenizer = load(settings["package"])
    draw = random.Random(settings["seed"])
    pairs = [(draw.randrange(10), draw.randrange(10)) for _ in range(settings["groups"] * settings["total_steps"])]
    rows = [{"prompt": QUESTION.format(a, b), "total": a + b} for a, b in pairs]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        options = trl.GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=settings["groups"] * settings["group_size"],
            num_generations=settings["group_size"],
            max_completion_length=settings["new_tokens"],
            learning_rate=settings["learning_rate"],
            lr_scheduler_type="constant",
            temperature=1.0,
            beta=0.0,
            max_steps=settings["total_steps"],
            bf16=False,
            use_cpu=True,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            gradient_checkpointing=settings.get("gradient_checkpointing", True),  # its default
            seed=settings["seed"],
        )
        trainer = trl.GRPOTrainer(
            model=model,
            reward_funcs=right,
            args=options,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[clock],
        )
        trainer.train()
    return {
        "steps": settings["total_steps"],
        "seconds": clock.wall[-1] - clock.wall[0],
        "cpu_seconds": clock.processor[-1] - clock.processor[0],
        "step_seconds": [after - before for before, after in zip(clock.wall, clock.wall[1:], strict=False)],
        "rewards": [row["reward"] for row in trainer.state.log_history if "reward" in row],
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1.024e-3,  # it counts in KiB
        "versions": {module.__name__: module.__version__ for module in (trl, transformers, torch)},
    }


if __name__ == "__main__":
    sys.stdout, lines = sys.stderr, sys.stdout  # the trainer prints
    print(json.dumps(main(json.loads(sys.argv[1]))), file=lines)
