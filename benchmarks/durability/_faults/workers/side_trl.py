"""TRL: a tiny Llama learns by GRPO; `trainer.save_model`, and the checkpoints from which `trainer.train` goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets  # type: ignore[import-not-found]
import tokenizers  # type: ignore[import-not-found]
import torch
import transformers
import trl  # type: ignore[import-not-found]
from faults import fingerprint, flat
from forks import Begin
from serve import serve

WORDS = 64
ENDLESS = 1_000_000
HALF = 4  # steps of the trainer
PROMPTS = [f"<{i}> <{i + 1}> <{i + 2}>" for i in range(3, 35)]


def words() -> Any:  # noqa: ANN401
    """Return a tokenizer that reads and writes the id 7 as <7>; 0 pads, 1 begins, 2 ends."""
    spelling = tokenizers.Tokenizer(tokenizers.models.WordLevel({f"<{i}>": i for i in range(WORDS)}, unk_token="<0>"))
    spelling.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    marks = {"pad_token": "<0>", "bos_token": "<1>", "eos_token": "<2>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=spelling, **marks)


def llama(seed: int, width: int) -> Any:  # noqa: ANN401
    """Return a random Llama."""
    torch.manual_seed(seed)
    sizes = {"hidden_size": width, "intermediate_size": 3 * width, "num_hidden_layers": 2, "num_attention_heads": 2}
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
    config = transformers.LlamaConfig(vocab_size=WORDS, max_position_embeddings=64, **sizes, **ends)
    return transformers.LlamaForCausalLM(config)


def score(completion_ids: list[list[int]], **_: Any) -> list[float]:  # noqa: ANN401
    """Score texts by the share of even tokens."""
    return [sum(token % 2 == 0 for token in text) / max(1, len(text)) for text in completion_ids]


class Tell(transformers.TrainerCallback):
    """Tells when the first step begins."""

    def __init__(self, begin: Begin) -> None:
        self.begin = begin

    def on_train_begin(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
        """Tell."""
        self.begin()


class Loaded(Exception):  # noqa: N818 - no error
    """Everything is loaded, and the first step would begin."""


def make(folder: Path, seed: int, width: int = 32, **options: Any) -> Any:  # noqa: ANN401
    """Return a trainer that writes to `folder`."""
    config = trl.GRPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=8,
        num_generations=4,
        max_completion_length=8,
        learning_rate=1e-3,
        bf16=False,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        seed=seed,
        **{"save_strategy": "no", "max_steps": ENDLESS} | options,
    )
    rows = datasets.Dataset.from_list([{"prompt": prompt} for prompt in PROMPTS])
    model = llama(seed, width)
    return trl.GRPOTrainer(model=model, reward_funcs=score, args=config, train_dataset=rows, processing_class=words())


def of(trainer: Any) -> str:  # noqa: ANN401
    """Return the fingerprint of a trainer: parameters, the optimizer's state, and the step."""
    parts = [*flat(trainer.model.state_dict(), "model"), ("step", trainer.state.global_step)]
    optimizer = getattr(trainer.optimizer, "optimizer", trainer.optimizer)
    return fingerprint([*parts, *flat(optimizer.state_dict(), "optimizer")])


class SaveModel:
    """`trainer.save_model` and `from_pretrained`."""

    def __init__(self, large: bool) -> None:
        self.width = 256 if large else 32
        self.things = [make(Path("unused"), seed, self.width) for seed in (1, 2)]

    def save(self, number: int, folder: Path) -> None:
        """Save a model, its configuration and its tokenizer."""
        self.things[number - 1].save_model(str(folder / "model"))

    def load(self, folder: Path) -> str:
        """Load model and tokenizer."""
        model = transformers.AutoModelForCausalLM.from_pretrained(folder / "model", local_files_only=True)
        spelling = transformers.AutoTokenizer.from_pretrained(folder / "model", local_files_only=True)
        config = {name: value for name, value in model.config.to_dict().items() if name != "_name_or_path"}
        vocabulary = sorted(spelling.get_vocab().items())
        return fingerprint([*flat(model.state_dict()), ("config", config), ("vocabulary", vocabulary)])


class Checkpoints:
    """What the trainer saves at step 2 beside its save of step 1, and `train(resume_from_checkpoint=True)`."""

    def __init__(self, large: bool) -> None:
        self.width = 256 if large else 32
        self.things = [self.trained(Path("unused"), seed) for seed in (1, 2)]

    def trained(self, folder: Path, seed: int) -> Any:  # noqa: ANN401
        """Return a trainer that has taken as many steps as its seed says."""
        trainer = make(folder, seed, self.width, max_steps=seed, save_total_limit=1)
        trainer.train()
        return trainer

    def save(self, number: int, folder: Path) -> None:
        """Save what the trainer would save now, and let it delete what came before."""
        trainer = self.things[number - 1]
        trainer.args.output_dir = str(folder)
        trainer._save_checkpoint(trainer.model, trial=None)

    def load(self, folder: Path, which: bool | str = True) -> str:
        """Load as `train` does before its first step."""
        trainer = make(folder, 3, self.width)

        def stop() -> None:
            raise Loaded

        trainer.add_callback(Tell(stop))
        try:
            trainer.train(resume_from_checkpoint=which)
        except Loaded:
            return of(trainer)
        raise RuntimeError("training went on")

    def load_earlier(self, folder: Path) -> str:
        """Load the earlier save, by its name."""
        return self.load(folder, str(folder / "checkpoint-1"))


class Training:
    """`trainer.train`, with a checkpoint every few steps."""

    options: dict[str, Any] = {"save_strategy": "steps", "save_steps": HALF}

    def learn(self, folder: Path, begin: Begin) -> None:
        """Learn for long, and save the model in the end."""
        trainer = make(folder, 0, **self.options)
        trainer.add_callback(Tell(begin))
        trainer.train()
        trainer.save_model()

    def load(self, folder: Path) -> str:
        """Load the newest checkpoint."""
        return Checkpoints.load(self, folder)  # type: ignore[arg-type]

    width = 32

    def whole(self, folder: Path, seed: int) -> str:
        """Train without a stop."""
        trainer = make(folder, seed, max_steps=2 * HALF, **self.options)
        trainer.train()
        return fingerprint(flat(trainer.model.state_dict()))

    def resumed(self, folder: Path, seed: int) -> str:
        """Go on from the checkpoint on half of the way."""
        trainer = make(folder, seed, max_steps=2 * HALF, **self.options)
        trainer.train(resume_from_checkpoint=str(folder / f"checkpoint-{HALF}"))
        return fingerprint(flat(trainer.model.state_dict()))


class Plain(Training):
    """`trainer.train`, and `trainer.save_model` behind it."""

    options = {}


class WhenTold(Training):
    """`trainer.train` with `enable_jit_checkpoint=True`, which saves on SIGTERM."""

    options = {"enable_jit_checkpoint": True}


if __name__ == "__main__":
    saves = {"save_model": SaveModel, "checkpoint": Checkpoints}
    trains = {"train": Plain, "train, save_steps": Training, "train, enable_jit_checkpoint": WhenTold}
    serve(saves | {name: lambda _, way=way: way() for name, way in trains.items()}, [trl, transformers])
