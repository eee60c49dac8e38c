"""What a token environment needs to know: prompts, scores and the vocabulary they are written in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pg_envs.known import KnownReturns

Tokens = Sequence[int]
Prompt = tuple[int, ...]
Completion = list[int]
Score = Callable[[Prompt, Completion], float]


@dataclass(frozen=True)
class TokenTask:
    """Prompts, a scoring function, and the vocabulary that both are written in.

    `prompts` is a sequence of token sequences, drawn from uniformly, or a callable generator → token sequence, which
    may be as long as `max_prompt_length`. `score(prompt, completion)` judges a finished completion,
    `token_reward(prompt, completion so far)` every step. `answer` and `known` say, where they are known, a best
    completion and what the random and the best policy collect.

    Raises:
        ValueError: a token id outside the vocabulary, an empty or too long prompt, no prompts, no end-of-sequence id,
            max_new_tokens below 1.
    """

    prompts: Sequence[Tokens] | Callable[[np.random.Generator], Tokens]
    score: Score
    vocabulary: int
    eos: int | Sequence[int]
    max_new_tokens: int
    max_prompt_length: int | None = None
    token_reward: Score | None = None
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
        if not callable(self.prompts):
            for prompt in self.prompts:
                self._check(prompt, "prompts", self.max_prompt_length)
            if not len(self.prompts):
                raise ValueError("prompts must hold at least one prompt, got none")

    def _check(self, tokens: Tokens, name: str, longest: int | None = None) -> NDArray[np.int64]:
        """Return token ids as an array, [length], or say what is wrong with them."""
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
        """The length of the longest prompt, None where it is not known."""
        if self.max_prompt_length is not None or callable(self.prompts):
            return self.max_prompt_length
        return max(map(len, self.prompts))

    def draw(self, generator: np.random.Generator, longest: int) -> NDArray[np.int64]:
        """Draw a prompt of at most `longest` tokens, [length]."""
        if callable(self.prompts):
            return self._check(self.prompts(generator), "prompts", longest)
        return np.asarray(self.prompts[int(generator.integers(len(self.prompts)))], np.int64)

    def judge(self, prompt: Prompt, completion: Completion) -> float:
        """Return the finished completion's score."""
        return self._evaluate(self.score, "score", prompt, completion)

    def reward_token(self, prompt: Prompt, completion: Completion) -> float:
        """Return the reward of a completion's last token, 0 where there is no `token_reward`."""
        return self._evaluate(self.token_reward, "token_reward", prompt, completion) if self.token_reward else 0.0

    def text(self, ids: Iterable[int]) -> str:
        """Return token ids as readable text: by `decode`, or the ids themselves with spaces between."""
        plain = [int(token) for token in ids]
        return self.decode(plain) if self.decode else " ".join(map(str, plain))

    def _evaluate(self, function: Score, name: str, prompt: Prompt, completion: Completion) -> float:
        try:
            value = function(prompt, completion)
            if isinstance(value, str) or not math.isfinite(value):
                raise ValueError(f"a finite number is needed, got {value!r}")
            return float(value)
        except Exception as error:
            texts = f"prompt {self.text(prompt)!r} and completion {self.text(completion)!r}"
            raise RuntimeError(f"{name} failed on {texts}: {type(error).__name__}: {error}") from error
