"""Texts as a token task: a tokenizer, prompts and a scoring function that reads texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pg_envs.tokens.encoding import Messages, check_fixed_lengths, encoded, spelled_out
from pg_envs.tokens.token_task import Completion, EvaluationError, Prompt, TokenTask, finite
from pg_envs.tokens.tokenizer_files import read_tokenizer

TextScore = Callable[[str, str, Any], float]
TextScoreBatch = Callable[[list[str], list[str], list[Any]], Sequence[float]]
TextStop = Callable[[str, str], bool]


class Tokenizer(Protocol):
    """The methods that a tokenizer must have; those of transformers and tokenizers have them.

    Also used, if they exist: `eos_token_id`, `get_vocab()` or `len(tokenizer)`, for chats `apply_chat_template`, the
    argument `add_special_tokens` of `encode` and `skip_special_tokens` of `decode`.
    """

    def encode(self, text: str, /) -> Any:  # noqa: ANN401
        """Return the text's ids, or an object with an attribute `ids`."""

    def decode(self, ids: list[int], /) -> str:
        """Return the text of ids."""


@dataclass(frozen=True)
class Reader:
    """A task's texts: decodes completions and calls the user's functions of texts."""

    decode: Callable[[list[int]], str]
    texts: list[str]  # of the prompts
    examples: list[Any]
    text_of: dict[Prompt, str]
    eos: frozenset[int]

    def answer(self, completion: Completion) -> str:
        """Return a completion's text, without the end-of-sequence token."""
        return self.decode(completion[:-1] if completion[-1] in self.eos else completion)

    def scored_by(self, score: TextScore) -> Callable[[list[Prompt], list[Completion], list[int]], list[float]]:
        """Return `score`, a function of texts, as the `score_batch` of a `TokenTask`."""

        def score_all(prompts: list[Prompt], completions: list[Completion], numbers: list[int]) -> list[float]:
            return [self._score(score, n, self.answer(ids)) for n, ids in zip(numbers, completions, strict=True)]

        return score_all

    def _score(self, score: TextScore, number: int, answer: str) -> float:
        text = self.texts[number]
        try:
            return finite(score(text, answer, self.examples[number]))
        except Exception as error:
            shown = f"prompt {text!r} and completion {answer!r}"
            raise EvaluationError(f"score failed on {shown}: {type(error).__name__}: {error}") from error

    def scored_together_by(self, score_batch: TextScoreBatch) -> Callable[..., Sequence[float]]:
        """Return `score_batch`, a function of texts, as the `score_batch` of a `TokenTask`."""
        return lambda prompts, completions, numbers: score_batch(
            [self.texts[n] for n in numbers], list(map(self.answer, completions)), [self.examples[n] for n in numbers]
        )

    def stopped_by(self, stop: TextStop) -> Callable[[Prompt, Completion], bool]:
        """Return `stop`, a function of texts, as the `stop` of a `TokenTask`."""
        return lambda prompt, completion: stop(self.text_of[tuple(prompt)], self.answer(completion))


def text_task(
    tokenizer: Tokenizer | str | Path,
    prompts: Iterable[str | Messages],
    *,
    max_new_tokens: int,
    score: TextScore | None = None,
    score_batch: TextScoreBatch | None = None,
    examples: Iterable[Any] | None = None,
    stop: TextStop | None = None,
    eos: int | Sequence[int] | None = None,
    vocabulary: int | None = None,
    max_prompt_length: int | None = None,
) -> TokenTask:
    """Return the task of answering `prompts` in text: `TokenVectorEnv(64, task=text_task(…))`.

    Prompts are encoded once, here: with the tokenizer's beginning-of-sequence tokens, once, and without its end tokens.
    Completions stay the sampled ids: they are decoded, special tokens included, to be scored, and never encoded again.

    Args:
        tokenizer: see `Tokenizer`; or a folder with a tokenizer of transformers (if its model is there too, the model
            gives the vocabulary and the end-of-sequence ids); or a .gguf file.
        prompts: texts, or chats ({"role", "content"} messages), to which the tokenizer's chat template is applied.
        max_new_tokens: the most tokens in a completion.
        score: callable (prompt, completion, example) → number; the completion is without its end-of-sequence token.
        score_batch: instead, callable (prompts, completions, examples) → numbers, for all texts that end in one step.
        examples: for each prompt an object handed to the scores (its answer, say); None: the prompts themselves.
        stop: callable (prompt, completion so far) → bool, asked after every token; costs a decoding each time.
        eos: the end-of-sequence id, or several; None: the tokenizer's.
        vocabulary: V, the number of rows of the model's embedding; None: the number of the tokenizer's ids.
        max_prompt_length: the most tokens in a prompt; None: the longest prompt's length.

    Raises:
        ValueError: one prompt instead of a list; no end-of-sequence id, or no tokenizer in the folder; a vocabulary
            smaller than the tokenizer's ids; a prompt without tokens, or with more than `max_prompt_length`; chats
            without a chat template; not as many examples as prompts; a tokenizer that pads or cuts texts off.
    """
    _check_functions(score=score, score_batch=score_batch, stop=stop)
    coder, ends, size = _known(tokenizer, eos, vocabulary)
    check_fixed_lengths(coder)
    asked = _several("prompts", prompts, "[prompt]")
    texts, ids = _read(coder, asked, max_prompt_length)
    known = asked if examples is None else _several("examples", examples, "a list in the order of the prompts")
    if len(known) != len(asked):
        raise ValueError(f"examples must be as many as the prompts, {len(asked)}, got {len(known)}")
    text_of = dict(zip(map(tuple, ids), texts, strict=True))
    reader = Reader(spelled_out(coder), texts, known, text_of, frozenset(ends))
    return TokenTask(
        prompts=ids,
        score=None,
        score_batch=reader.scored_by(score) if score else reader.scored_together_by(score_batch),  # type: ignore[arg-type]
        vocabulary=size,
        eos=ends,
        max_new_tokens=max_new_tokens,
        max_prompt_length=max_prompt_length,
        stop=reader.stopped_by(stop) if stop else None,
        decode=reader.decode,
    )


def _check_functions(**functions: Any) -> None:  # noqa: ANN401
    """Raise ValueError unless the given functions are callable, and exactly one is `score` or `score_batch`."""
    for name, function in functions.items():
        if function is not None and not callable(function):
            raise ValueError(f"{name} must be a function of texts, got {function!r}")
    if (functions["score"] is None) is (functions["score_batch"] is None):
        raise ValueError("score: give score or score_batch, and not both")


def _read(
    coder: Tokenizer, prompts: list[str | Messages], max_prompt_length: int | None
) -> tuple[list[str], list[list[int]]]:
    """Return the prompts' texts and ids; ValueError for no or too many ids, or for one chat instead of a list."""
    if prompts and all(isinstance(message, Mapping) for message in prompts):
        raise ValueError(f"prompts must be several texts or chats, got one chat: {prompts!r}; write [chat]")
    pairs = [encoded(coder, prompt) for prompt in prompts]
    for text, tokens in pairs:
        if not tokens:
            raise ValueError(f"prompts: {text!r} has no tokens")
        if max_prompt_length is not None and len(tokens) > max_prompt_length:
            raise ValueError(
                f"prompts: at most {max_prompt_length} tokens fit (max_prompt_length), got {len(tokens)} in {text!r}"
            )
    return [text for text, _ in pairs], [tokens for _, tokens in pairs]


def _several(name: str, values: Iterable[Any], write: str) -> list[Any]:
    """Return `values` as a list; ValueError for a single text, an unordered set or a mapping."""
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be several, in order, got {type(values).__name__} {values!r}; write {write}")
    return list(values)


def _known(
    tokenizer: Tokenizer | str | Path, eos: int | Sequence[int] | None, vocabulary: int | None
) -> tuple[Tokenizer, list[int], int]:
    """Return the tokenizer (read from its folder if that is given), its end-of-sequence ids, and the number of ids."""
    if not isinstance(tokenizer, str | Path):
        return tokenizer, _ends(tokenizer, eos), _vocabulary(tokenizer, vocabulary)
    found = read_tokenizer(tokenizer)
    eos, vocabulary = found.eos if eos is None else eos, found.vocabulary if vocabulary is None else vocabulary
    return found.tokenizer, _ends(found.tokenizer, eos), _vocabulary(found.tokenizer, vocabulary)


def _ends(tokenizer: Tokenizer, eos: int | Sequence[int] | None) -> list[int]:
    eos = getattr(tokenizer, "eos_token_id", None) if eos is None else eos
    if eos is None:
        raise ValueError("eos: the tokenizer names no end-of-sequence id; give one, or several")
    return list(eos) if isinstance(eos, Iterable) else [eos]


def _vocabulary(tokenizer: Tokenizer, vocabulary: int | None) -> int:
    table: Any = tokenizer
    size = 1 + max(table.get_vocab().values()) if hasattr(tokenizer, "get_vocab") else None
    size = len(table) if size is None and hasattr(tokenizer, "__len__") else size
    if vocabulary is None and size is None:
        raise ValueError("vocabulary: the tokenizer does not say how many ids it has; give their number")
    if vocabulary is not None and size is not None and vocabulary < size:
        raise ValueError(f"vocabulary must hold all of the tokenizer's {size} ids, got {vocabulary}")
    return vocabulary or size or 0
