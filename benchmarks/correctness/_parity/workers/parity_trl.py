"""TRL's GRPOTrainer or RLOOTrainer learns from recorded texts, in the peers' own Python.

`trainer.train` is the peer's own, from scores to the last gradient step. What it would sample is replaced by what was
recorded: completions, and the permutation by which a generation is split into minibatches.
"""

from __future__ import annotations

import json
import sys
import tempfile
from typing import Any
from unittest import mock

import datasets  # type: ignore[import-not-found]
import numpy as np
import tokenizers  # type: ignore[import-not-found]
import torch
import transformers
import trl  # type: ignore[import-not-found]
from trl.trainer.utils import shuffle_sequence_dict  # type: ignore[import-not-found]

Arrays = dict[str, Any]


class Watch(transformers.TrainerCallback):
    """Writes down gradients as the optimizer sees them."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Any]] = {}

    def add(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Append a copy of an array."""
        self.seen.setdefault(name, []).append(np.array(value))

    def on_pre_optimizer_step(self, *_: Any, model: Any, **__: Any) -> None:  # noqa: ANN401
        """Note the gradients."""
        for name, parameter in model.named_parameters():
            self.add(f"gradients/{name}", parameter.grad)


def words(count: int) -> Any:  # noqa: ANN401
    """Return a tokenizer that reads and writes the id 7 as <7>; 0 pads, 1 begins, 2 ends."""
    ids = {f"<{i}>": i for i in range(count)}
    spelling = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token="<0>"))
    spelling.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    marks = {"pad_token": "<0>", "bos_token": "<1>", "eos_token": "<2>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=spelling, **marks)


def ids_of(row: Any) -> list[int]:  # noqa: ANN401
    """Return the tokens of a row that is padded with −1."""
    return [int(token) for token in row if token >= 0]


class Replay:
    """What the trainer would sample, as it was recorded."""

    def __init__(self, record: Arrays, *, logprobs: bool) -> None:
        self.record, self.logprobs, self.rollout = record, logprobs, -1

    def generate(self, prompt_ids: list[list[int]], *_: Any) -> Any:  # noqa: ANN401
        """Return the completions of the next rollout."""
        self.rollout += 1
        expected = [ids_of(row) for row in self.record["prompts"][self.rollout]]
        if prompt_ids != expected:
            raise ValueError(f"the trainer's prompts are {prompt_ids}, the recorded ones {expected}")
        completions = [ids_of(row) for row in self.record["completions"][self.rollout]]
        return (completions, None) if self.logprobs else completions

    def score(self, completion_ids: list[list[int]], **_: Any) -> list[float]:  # noqa: ANN401
        """Return the scores of the rollout that has just been generated."""
        return [float(one) for one in self.record["scores"][self.rollout]]

    def shuffle(self, batch: dict[str, Any]) -> Any:  # noqa: ANN401
        """Shuffle by the recorded permutation."""
        order = torch.as_tensor(self.record["orders"][self.rollout])
        with mock.patch("torch.randperm", return_value=order):
            return shuffle_sequence_dict(batch)


def weights_of(record: Arrays, what: str) -> dict[str, torch.Tensor]:
    """Return a model's recorded parameters."""
    return {name.partition("/")[2]: torch.as_tensor(a) for name, a in record.items() if name.startswith(what)}


def make_model(settings: dict[str, Any], record: Arrays, folder: str) -> Any:  # noqa: ANN401
    """Return the recorded model, in float64, which is in the folder too: the reference is read from there."""
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings["model"])).double()
    model.load_state_dict(weights_of(record, "initial/"))
    model.save_pretrained(folder)
    model.config._name_or_path = folder
    return model


def make_config(form: str, options: dict[str, Any], record: Arrays, folder: str) -> Any:  # noqa: ANN401
    """Return the trainer's arguments: what is asked for, and a step for each of its minibatches."""
    rollouts, rows, _ = record["prompts"].shape
    parts = options.get("steps_per_generation", 1)
    return getattr(trl, f"{form}Config")(
        output_dir=folder,
        per_device_train_batch_size=rows // parts,
        gradient_accumulation_steps=1,
        max_steps=rollouts * options.get("num_iterations", 1) * parts,
        lr_scheduler_type="constant",
        shuffle_dataset=False,
        bf16=False,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        activation_checkpointing=False,
        **options,
    )


def make_trainer(settings: dict[str, Any], record: Arrays, watch: Watch, folder: str) -> Any:  # noqa: ANN401
    """Return the trainer, with the recorded weights and in place of what it would sample what was recorded."""
    form, options = settings["algorithm"], settings["arguments"]
    replay = Replay(record, logprobs=form == "GRPO")
    asked = record["prompts"][:, :: options["num_generations"]].reshape(-1, record["prompts"].shape[2])
    prompts = [{"prompt": " ".join(f"<{i}>" for i in ids_of(row))} for row in asked]
    trainer = getattr(trl, f"{form}Trainer")(
        model=make_model(settings, record, folder),
        reward_funcs=replay.score,
        args=make_config(form, options, record, folder),
        train_dataset=datasets.Dataset.from_list(prompts),
        processing_class=words(settings["model"]["vocab_size"]),
        callbacks=[watch],
    )
    if trainer.ref_model is not None:
        trainer.ref_model.double().load_state_dict(weights_of(record, "reference/"))
    trainer._generate_single_turn = replay.generate
    sys.modules[type(trainer).__module__].shuffle_sequence_dict = replay.shuffle  # type: ignore[attr-defined]
    judge = trainer._generate_and_score_completions

    def judged(inputs: Any) -> Any:  # noqa: ANN401
        found = judge(inputs)
        watch.add("advantages", found["advantages"])
        return found

    trainer._generate_and_score_completions = judged
    return trainer


def main(settings: dict[str, Any]) -> dict[str, Any]:
    """Learn from the record, write the results to `settings["result"]`, and return the versions."""
    torch.set_num_threads(settings["threads"])
    with np.load(settings["record"], allow_pickle=False) as file:
        record = dict(file)
    watch = Watch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(settings, record, watch, folder)
        trainer.train()
    weights = {f"weights/{name}": p.detach().numpy() for name, p in trainer.model.named_parameters()}
    np.savez(settings["result"], **{name: np.stack(each) for name, each in watch.seen.items()}, **weights)
    return {"versions": {module.__name__: module.__version__ for module in (trl, transformers, torch)}}


if __name__ == "__main__":
    sys.stdout, lines = sys.stderr, sys.stdout  # the trainer prints
    print(json.dumps(main(json.loads(sys.argv[1]))), file=lines)
