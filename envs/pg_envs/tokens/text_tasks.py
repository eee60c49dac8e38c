"""Tasks in text, for any tokenizer: sums, and the tasks of reasoning-gym."""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from pg_envs.tokens.texts import Tokenizer, text_task
from pg_envs.tokens.token_task import TokenTask

Pair = tuple[int, int]
Split = Literal["all", "train", "held_out"]

QUESTION = "Question: What is {}+{}?\nAnswer:"


def first_integer(text: str) -> int | None:
    """Return the first integer in `text`; None if there is none."""
    found = re.search(r"-?\d+", text)
    return int(found.group()) if found else None


def addition_pairs(digits: int = 1, split: Split = "all", held_out: float = 0.2) -> list[Pair]:
    """Return the pairs (a, b) of numbers from 0 to 10^digits − 1 that belong to `split`.

    The split is the same on every call and every machine. a + b and b + a are on the same side, since a model that
    has learned one may know the other.

    Raises:
        ValueError: digits other than 1, 2 or 3, an unknown split, held_out outside (0, 1).
    """
    if digits not in (1, 2, 3):
        raise ValueError(f"digits must be 1, 2 or 3, got {digits}")
    if split not in ("all", "train", "held_out"):
        raise ValueError(f"split must be all, train or held_out, got {split!r}")
    if not 0 < held_out < 1:
        raise ValueError(f"held_out must be above 0 and below 1, got {held_out}")
    numbers = range(10**digits)
    sums = sorted(((a, b) for a in numbers for b in numbers[a:]), key=_digest)
    apart = set(sums[: max(1, round(held_out * len(sums)))])
    sides = {"all": (False, True), "train": (False,), "held_out": (True,)}[split]
    return [(a, b) for a in numbers for b in numbers if ((min(a, b), max(a, b)) in apart) in sides]


def _digest(pair: Pair) -> bytes:
    """Return a key that sorts pairs in an order that looks random and depends on no library's version."""
    return sha256("{}+{}".format(*pair).encode()).digest()


def addition_text(
    tokenizer: Tokenizer | str | Path,
    *,
    digits: int = 1,
    split: Split = "all",
    held_out: float = 0.2,
    shots: int = 0,
    max_new_tokens: int = 8,
    **options: Any,  # noqa: ANN401
) -> TokenTask:
    """Return the task "Question: What is 3+4?⏎Answer:"; 1 where the first integer of the completion is the sum, else 0.

    Args:
        tokenizer: the tokenizer of the prompts and completions, or its folder.
        digits: the most digits of either number.
        split: which pairs are asked: "train", "held_out" (never those of "train"), or "all"; see `addition_pairs`.
        held_out: the share of the pairs that "train" leaves out.
        shots: number of solved sums before every question, from pairs that are not held out.
        max_new_tokens: the most tokens in a completion.
        options: further arguments of `text_task`.

    Raises:
        ValueError: as `addition_pairs` and `text_task`.
    """
    pairs = addition_pairs(digits, split, held_out)
    solved = sorted(addition_pairs(digits, "train", held_out), key=_digest)
    if not 0 <= shots <= len(solved):
        raise ValueError(f"shots must be from 0 to {len(solved)}, got {shots}")
    shown = "".join(f"{QUESTION.format(*pair)} {sum(pair)}\n" for pair in solved[:shots])
    return text_task(
        tokenizer,
        [shown + QUESTION.format(*pair) for pair in pairs],
        examples=pairs,
        score=lambda prompt, completion, pair: float(first_integer(completion) == sum(pair)),
        max_new_tokens=max_new_tokens,
        **options,
    )


def reasoning_gym_task(
    name: str,
    tokenizer: Tokenizer | str | Path,
    *,
    max_new_tokens: int,
    size: int = 1000,
    seed: int = 0,
    chat: bool = False,
    answer: Callable[[str], str] = str.strip,
    eos: int | list[int] | None = None,
    vocabulary: int | None = None,
    max_prompt_length: int | None = None,
    **options: Any,  # noqa: ANN401
) -> TokenTask:
    """Return a task of reasoning-gym (`pip install reasoning-gym`), scored by its own verifier.

    Args:
        name: the dataset's name, such as "basic_arithmetic".
        tokenizer: the tokenizer of the prompts and completions, or its folder.
        max_new_tokens: the most tokens in a completion.
        size: the number of questions.
        seed: seed of the questions; use another one for evaluation.
        chat: whether a question is a user's message under the tokenizer's chat template.
        answer: function that extracts the answer from a completion.
        eos: see `text_task`.
        vocabulary: see `text_task`.
        max_prompt_length: see `text_task`.
        options: the dataset's options.

    Raises:
        ImportError: reasoning-gym is not installed.
        ValueError: no such dataset or option; and as `text_task`.

    References:
        Z. Stojanovski et al., Reasoning Gym, 2025.
    """
    try:
        gym = import_module("reasoning_gym")
    except ImportError as error:
        raise ImportError("reasoning_gym_task needs reasoning-gym: pip install reasoning-gym") from error
    try:
        dataset = gym.create_dataset(name, size=size, seed=seed, **options)
    except TypeError as error:  # an option that the dataset's configuration lacks
        raise ValueError(f"options: reasoning-gym's {name} does not take {options}: {error}") from error
    entries = list(dataset)
    questions = [entry["question"] for entry in entries]
    return text_task(
        tokenizer,
        [[{"role": "user", "content": question}] for question in questions] if chat else questions,
        examples=entries,
        score=lambda prompt, completion, entry: dataset.score_answer(answer(completion), entry),
        max_new_tokens=max_new_tokens,
        eos=eos,
        vocabulary=vocabulary,
        max_prompt_length=max_prompt_length,
    )
