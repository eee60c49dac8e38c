"""The tasks of the token environments: prompts, right answers and scores."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pg_envs.core.known import KnownReturns
from pg_envs.tokens.text_tasks import Split, addition_pairs, addition_text
from pg_envs.tokens.texts import Tokenizer
from pg_envs.tokens.token_task import Completion, Prompt, TokenTask

PAD, BOS, SEP, EOS = range(4)  # the special tokens of every task below
FIRST = 4  # the id of a task's first own symbol
SUMS = "0123456789+"  # the symbols of addition

Body = list[int]  # a prompt without BOS and SEP


# -- scores and the random policy's expected score -------------------------------------------------------------------
def agreement(expected: Completion, completion: Completion) -> float:
    """Return the number of positions that agree over the longer length: 1 only if both are equal."""
    matches = sum(one == other for one, other in zip(expected, completion, strict=False))
    return matches / max(len(expected), len(completion))


def brevity(completion: Completion, max_new_tokens: int) -> float:
    """Return 1 − n / max_new_tokens with n the number of tokens before the end-of-sequence token; 0 without one."""
    return 1 - completion.index(EOS) / max_new_tokens if EOS in completion else 0.0


def random_endings(vocabulary: int, max_new_tokens: int) -> Iterator[tuple[int, bool, float]]:
    """Yield (tokens, ended by EOS, probability) for completions whose tokens are uniform over the vocabulary."""
    goes_on = 1 - 1 / vocabulary
    for tokens in range(1, max_new_tokens + 1):
        yield tokens, True, goes_on ** (tokens - 1) / vocabulary
    yield max_new_tokens, False, goes_on**max_new_tokens


def random_agreement(lengths: Mapping[int, float], vocabulary: int, max_new_tokens: int) -> float:
    """Return the expected agreement of uniformly random tokens with answers of L tokens, P(L) = lengths[L].

    A completion of k tokens that EOS ended has k − 1 tokens before it, uniform over the V − 1 other tokens;
    min(k, L) − 1 of them are at positions before the answer's EOS. Its EOS is right if k = L:
    E = [(min(k, L) − 1) / (V − 1) + 1(k = L)] / max(k, L). Without EOS: E = min(k, L − 1) / (V − 1) / max(k, L).
    """
    expected = 0.0
    for tokens, by_eos, probability in random_endings(vocabulary, max_new_tokens):
        for length, share in lengths.items():
            free = min(tokens - by_eos, length - 1)
            right = free / (vocabulary - 1) + (by_eos and tokens == length)
            expected += probability * share * right / max(tokens, length)
    return expected


def random_brevity(vocabulary: int, max_new_tokens: int) -> float:
    """Return the expected brevity of uniformly random tokens, Σ_k P(EOS is token k) (1 − (k − 1) / max_new_tokens)."""
    endings = random_endings(vocabulary, max_new_tokens)
    return sum(probability * (1 - (tokens - 1) / max_new_tokens) for tokens, by_eos, probability in endings if by_eos)


# -- the tasks -------------------------------------------------------------------------------------------------------
def copy(*, length: int = 4, symbols: int = 4, max_new_tokens: int | None = None) -> TokenTask:
    """Ask for the prompt's symbols in their order."""
    return _transcription(list, length, symbols, max_new_tokens)


def reverse(*, length: int = 4, symbols: int = 4, max_new_tokens: int | None = None) -> TokenTask:
    """Ask for the prompt's symbols from the last to the first."""
    return _transcription(lambda body: body[::-1], length, symbols, max_new_tokens)


def sort(*, length: int = 4, symbols: int = 4, max_new_tokens: int | None = None) -> TokenTask:
    """Ask for the prompt's symbols in the alphabet's order."""
    return _transcription(sorted, length, symbols, max_new_tokens)


def _transcription(answer: Callable[[Body], Body], length: int, symbols: int, cap: int | None) -> TokenTask:
    letters, prompts = _letters(symbols), _strings(length, symbols)
    return _agreement_task(prompts, length, answer, {length + 1: 1.0}, letters, cap)


def parity(*, length: int = 4, max_new_tokens: int | None = None) -> TokenTask:
    """Ask whether the prompt's bits hold an even (0) or an odd (1) number of ones."""

    def answer(body: Body) -> Body:
        return [FIRST + sum(bit - FIRST for bit in body) % 2]

    return _agreement_task(_strings(length, 2), length, answer, {2: 1.0}, "01", max_new_tokens)


def addition(
    *,
    digits: int = 2,
    max_new_tokens: int | None = None,
    split: Split = "all",
    held_out: float = 0.2,
    tokenizer: Tokenizer | str | Path | None = None,
) -> TokenTask:
    """Ask for the sum of two numbers, each uniform on 0 … 10^digits − 1, written without leading zeros.

    With a `tokenizer` (or its folder) the question is in words, see `addition_text`; for `split` and `held_out` see
    `addition_pairs`.
    """
    if tokenizer is not None:
        cap = 8 if max_new_tokens is None else max_new_tokens
        return addition_text(tokenizer, digits=digits, split=split, held_out=held_out, max_new_tokens=cap)
    _check_size("digits", digits, 9)
    plus = FIRST + 10

    def written(pair: Iterable[int]) -> Body:
        one, other = (_written(int(number)) for number in pair)
        return [BOS, *one, plus, *other, SEP]

    def answer(body: Body) -> Body:
        middle = body.index(plus)
        return _written(_read(body[:middle]) + _read(body[middle + 1 :]))

    if split != "all":
        pairs = addition_pairs(digits, split, held_out)
        counts = Counter(len(str(a + b)) + 1 for a, b in pairs)
        shares = {length: count / len(pairs) for length, count in counts.items()}
        cap = digits + 5 if max_new_tokens is None else max_new_tokens
        return _agreement_task([*map(written, pairs)], 2 * digits + 1, answer, shares, SUMS, cap, separator="=")
    # P(sum < 10^k) for k = 0 … digits + 1: of 10^2·digits pairs, 1 + 2 + … + 10^k have a sum below 10^k
    below = [0.0, *(10**k * (10**k + 1) / 2 / 100**digits for k in range(1, digits + 1)), 1.0]
    lengths = {k + 1: below[k] - below[k - 1] for k in range(1, digits + 2)}

    def prompts(generator: np.random.Generator) -> Body:
        return written(generator.integers(10**digits, size=2))

    return _agreement_task(prompts, 2 * digits + 1, answer, lengths, SUMS, max_new_tokens, separator="=")


def shorter(*, length: int = 4, symbols: int = 4, max_new_tokens: int = 8) -> TokenTask:
    """Ask for an early end of sequence."""
    letters = _letters(symbols)
    vocabulary = FIRST + symbols
    _check_size("max_new_tokens", max_new_tokens)
    return TokenTask(
        prompts=_strings(length, symbols),
        score=lambda prompt, completion: brevity(completion, max_new_tokens),
        vocabulary=vocabulary,
        eos=EOS,
        max_new_tokens=max_new_tokens,
        max_prompt_length=length + 2,
        decode=_decoder(letters),
        answer=lambda prompt: [EOS],
        known=KnownReturns(random_brevity(vocabulary, max_new_tokens), 1.0),
    )


# -- the parts of tasks ----------------------------------------------------------------------------------------------
def _agreement_task(
    prompts: Callable[[np.random.Generator], Body] | Sequence[Body],
    body_length: int,
    answer: Callable[[Body], Body],
    lengths: Mapping[int, float],
    letters: str,
    max_new_tokens: int | None,
    separator: str = "→",
) -> TokenTask:
    """Return the task whose score is the agreement with `answer(body)` and EOS; lengths[L] = P(L answer tokens)."""

    def expected(prompt: Prompt) -> Completion:
        return [*answer(list(prompt[1:-1])), EOS]

    cap = max(lengths) + 3 if max_new_tokens is None else max_new_tokens  # room for mistakes in length
    vocabulary = FIRST + len(letters)
    unreachable = sum(share * max(length - cap, 0) / length for length, share in lengths.items())
    return TokenTask(
        prompts=prompts,
        score=lambda prompt, completion: agreement(expected(prompt), completion),
        vocabulary=vocabulary,
        eos=EOS,
        max_new_tokens=cap,
        max_prompt_length=body_length + 2,
        decode=_decoder(letters, separator),
        answer=lambda prompt: expected(prompt)[:cap],
        known=KnownReturns(random_agreement(lengths, vocabulary, cap), 1 - unreachable),
    )


def _strings(length: int, symbols: int) -> Callable[[np.random.Generator], Body]:
    """Return a generator of BOS, `length` uniform symbols, SEP."""
    _check_size("length", length)
    return lambda generator: [BOS, *generator.integers(FIRST, FIRST + symbols, length).tolist(), SEP]


def _letters(symbols: int) -> str:
    _check_size("symbols", symbols, len(string.ascii_letters))
    return string.ascii_letters[:symbols]


def _decoder(letters: str, separator: str = "→") -> Callable[[list[int]], str]:
    """Return ids → text: padding shows as _, BOS as nothing, EOS as a full stop."""
    written = ["_", "", separator, ".", *letters]
    return lambda ids: "".join(written[token] for token in ids)


def _written(number: int) -> Body:
    return [FIRST + int(digit) for digit in str(number)]


def _read(digits: Body) -> int:
    return int("".join(str(digit - FIRST) for digit in digits))


def _check_size(name: str, value: int, most: int | None = None) -> None:
    if value < 1 or (most is not None and value > most):
        raise ValueError(f"{name} must be at least 1{f' and at most {most}' if most else ''}, got {value}")
