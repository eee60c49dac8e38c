"""The task of a token environment: prompts, scoring functions and the vocabulary."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pg_envs.core.known import KnownReturns

Tokens = Sequence[int]
Prompt = tuple[int, ...]
Completion = list[int]
Score = Callable[[Prompt, Completion], float]
ScoreBatch = Callable[[list[Prompt], list[Completion], list[int]], Sequence[float]]
Stop = Callable[[Prompt, Completion], bool]

Scores = NDArray[np.float64]

DRAWN = -1  # stands for the number of a prompt that a callable drew


class EvaluationError(RuntimeError):
    """A function of the user's (score, token_reward, stop) failed; the message shows the prompt and the completion."""


def finite(value: Any) -> float:  # noqa: ANN401
    """Return a number of Python, numpy or torch as a float; ValueError if it is not a finite number."""
    if not _is_number(value) or not math.isfinite(value):
        raise ValueError(f"a finite number is needed, got {_shortened(value)}")
    return float(value)


def truth(value: Any) -> bool:  # noqa: ANN401
    """Return a truth value of Python, numpy or torch as a bool; ValueError if it is not one."""
    if not _is_number(value) or math.isnan(value):
        raise ValueError(f"True or False is needed, got {_shortened(value)}")
    return bool(value)


def _is_number(value: Any) -> bool:  # noqa: ANN401
    return hasattr(value, "__float__") and getattr(value, "shape", ()) == () and not isinstance(value, str)


def _shortened(value: Any) -> str:  # noqa: ANN401
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}… ({type(value).__name__})"


def _in_order(values: Any) -> bool:  # noqa: ANN401
    """Return whether `values` is an ordered collection of several values, neither a mapping nor a string."""
    several = hasattr(values, "__iter__") and getattr(values, "shape", None) != ()
    return several and not isinstance(values, str | bytes | Mapping | Set)


@dataclass(frozen=True)
class TokenTask:
    """Prompts, a scoring function, and the vocabulary of both.

    `prompts` is a sequence of token sequences, drawn from uniformly, or a callable generator → token sequence, which
    has at most `max_prompt_length` tokens. `score(prompt, completion)` scores a finished completion; or
    `score_batch(prompts, completions, numbers)` scores several at once, prompt i being `prompts[numbers[i]]` (−1 if a
    callable drew it). `token_reward(prompt, completion so far)` rewards every step. `stop` ends an episode as the
    end-of-sequence token does: sequences of ids, or a callable (prompt, completion so far) → bool that is called after
    every token. `answer` returns a best completion, and `known` holds the returns of the random and of the best policy,
    if they are known.

    Raises:
        ValueError: a token id outside the vocabulary, an empty or too long prompt, no prompts, no end-of-sequence id,
            max_new_tokens below 1, a stop sequence longer than max_new_tokens, or not one of score and score_batch.
    """

    prompts: Sequence[Tokens] | Callable[[np.random.Generator], Tokens]
    score: Score | None
    vocabulary: int
    eos: int | Sequence[int]
    max_new_tokens: int
    max_prompt_length: int | None = None
    token_reward: Score | None = None
    stop: Stop | Sequence[Tokens] | None = None
    score_batch: ScoreBatch | None = None
    pad: int = 0
    decode: Callable[[list[int]], str] | None = None
    answer: Callable[[Prompt], Completion] | None = None
    known: KnownReturns = KnownReturns()

    def __post_init__(self) -> None:
        sizes = {"vocabulary": self.vocabulary, "max_new_tokens": self.max_new_tokens}
        for name, value in {**sizes, "max_prompt_length": self.max_prompt_length}.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self._check(self.eos if isinstance(self.eos, Sequence) else [self.eos], "eos")
        self._check([self.pad], "pad")
        if (self.score is None) is (self.score_batch is None):
            raise ValueError(f"score: give score or score_batch, and not both, got {self.score} and {self.score_batch}")
        for sequence in self.stop if self.stop is not None and not callable(self.stop) else ():
            if len(self._check(sequence, "stop")) > self.max_new_tokens:
                raise ValueError(f"stop: {sequence} is longer than max_new_tokens = {self.max_new_tokens}")
        if not callable(self.prompts):
            if isinstance(self.prompts, Mapping) or not hasattr(self.prompts, "__getitem__"):
                kind = type(self.prompts).__name__
                raise ValueError(f"prompts must be a list of token ids' lists, or a callable, got a {kind}")
            for prompt in self.prompts:
                self._check(prompt, "prompts", self.max_prompt_length)
            if not len(self.prompts):
                raise ValueError("prompts must hold at least one prompt, got none")

    def _check(self, tokens: Tokens, name: str, longest: int | None = None) -> NDArray[np.int64]:
        """Return token ids as an array, [length]; ValueError if they are empty, not ids, or too many."""
        ids = np.asarray(tokens)
        if ids.ndim != 1 or not ids.size or not np.issubdtype(ids.dtype, np.integer):
            raise ValueError(f"{name} must be token ids, at least one, got {tokens!r}")
        if ids.min() < 0 or ids.max() >= self.vocabulary:
            raise ValueError(f"{name} must be token ids from 0 to {self.vocabulary - 1}, got {ids.tolist()}")
        if longest is not None and len(ids) > longest:
            raise ValueError(f"{name}: at most {longest} tokens fit (max_prompt_length), got {len(ids)}")
        return ids.astype(np.int64)

    @property
    def longest_prompt(self) -> int | None:
        """The length of the longest prompt; None if unknown."""
        if self.max_prompt_length is not None or callable(self.prompts):
            return self.max_prompt_length
        return max(map(len, self.prompts))

    def draw(self, generator: np.random.Generator, longest: int) -> NDArray[np.int64]:
        """Draw a prompt of at most `longest` tokens, [length]."""
        return self.choose(generator, longest)[0]

    def choose(self, generator: np.random.Generator, longest: int) -> tuple[NDArray[np.int64], int]:
        """Draw a prompt of at most `longest` tokens; return it, [length], and its number in `prompts`."""
        if callable(self.prompts):
            return self._check(self.prompts(generator), "prompts", longest), DRAWN
        number = int(generator.integers(len(self.prompts)))
        return np.asarray(self.prompts[number], np.int64), number

    def judge(self, prompt: Prompt, completion: Completion) -> float:
        """Return the finished completion's score; if several prompts are equal, as for the first of them.

        Raises:
            ValueError: a prompt that the task does not have, if `score_batch` is given its prompts by number.
        """
        if self.score is not None:
            return self._evaluate(self.score, "score", prompt, completion)
        alike = () if callable(self.prompts) else (n for n, p in enumerate(self.prompts) if tuple(p) == tuple(prompt))
        number = next(iter(alike), DRAWN)
        if number == DRAWN and not callable(self.prompts):
            raise ValueError(f"prompt: {list(prompt)} is not among the {len(self.prompts)} prompts of the task")
        return float(self.judge_batch([prompt], [completion], [number])[0])

    def judge_batch(self, prompts: list[Prompt], completions: list[Completion], numbers: list[int]) -> Scores:
        """Return the scores of finished completions, [n].

        Raises:
            EvaluationError: a function that raises, a wrong number of scores, a score that is not finite; the message
                shows the prompt and the completion.
        """
        pairs = list(zip(prompts, completions, strict=True))
        if self.score is not None:
            return np.array([self._evaluate(self.score, "score", *pair) for pair in pairs])
        assert self.score_batch is not None
        several = f"{len(pairs)} completions, the first of which has {self._shown(*pairs[0])}"
        try:
            given = self.score_batch(prompts, completions, numbers)
            values = list(given) if _in_order(given) else None
        except EvaluationError:
            raise  # it names its own prompt and completion
        except Exception as error:
            raise EvaluationError(f"score_batch failed on one of {several}: {_named(error)}") from error
        if values is None:
            wrong = f"{_shortened(given)} for {several}"
            raise EvaluationError(f"score_batch returned {wrong}; return a list with a number for each, in their order")
        if len(values) != len(pairs):
            raise EvaluationError(f"score_batch returned {len(values)} scores for {several}")
        checked = [
            self._evaluate(lambda *_, value=value: value, "score_batch", *pair)
            for pair, value in zip(pairs, values, strict=True)
        ]
        return np.array(checked)

    def reward_token(self, prompt: Prompt, completion: Completion) -> float:
        """Return the reward of a completion's last token; 0 without a `token_reward`."""
        return self._evaluate(self.token_reward, "token_reward", prompt, completion) if self.token_reward else 0.0

    def stops(self, prompt: Prompt, completion: Completion) -> bool:
        """Return whether `stop` ends the episode after the completion's last token; False without a `stop`."""
        if self.stop is None:
            return False
        if callable(self.stop):
            return bool(self._evaluate(self.stop, "stop", prompt, completion, truth))
        return any(list(sequence) == completion[-len(sequence) :] for sequence in self.stop)

    def text(self, ids: Iterable[int]) -> str:
        """Return token ids as readable text: by `decode`, else the ids separated by spaces."""
        plain = [int(token) for token in ids]
        return self.decode(plain) if self.decode else " ".join(map(str, plain))

    def _evaluate(
        self,
        function: Callable[..., Any],
        name: str,
        prompt: Prompt,
        completion: Completion,
        read: Callable[[Any], float] = finite,
    ) -> float:
        try:
            return read(function(prompt, completion))
        except Exception as error:
            shown = self._shown(prompt, completion)
            raise EvaluationError(f"{name} failed on {shown}: {_named(error)}") from error

    def _shown(self, prompt: Prompt, completion: Completion) -> str:
        return f"prompt {self.text(prompt)!r} and completion {self.text(completion)!r}"


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def room_for(task: TokenTask, window: int | None) -> tuple[int, int]:
    """Return the length of the longest prompt of `task`, and the window's size.

    Raises:
        ValueError: a window below 1 or shorter than the longest prompt; a callable without max_prompt_length or window.
    """
    if window is not None and window < 1:
        raise ValueError(f"window must be at least 1, got {window}")
    longest = task.longest_prompt or window
    if longest is None:
        raise ValueError("max_prompt_length: give the length of the longest prompt, as prompts is a callable")
    if window is not None and longest > window:
        raise ValueError(f"window must hold the longest prompt, {longest} tokens, got {window}")
    return longest, window or longest + task.max_new_tokens
