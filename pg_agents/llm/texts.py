"""Texts → tokens → texts, as the environments of texts do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pg_envs.tokens.encoding import check_fixed_lengths, encoded, spelled_out

from pg_agents.errors import UserError
from pg_agents.llm.loading import end_ids


@dataclass(frozen=True)
class Coder:
    """How texts become tokens, and tokens texts.

    Attributes:
        encode: a text, or a chat, → the ids that a completion continues.
        decode: ids → their text, special tokens spelled out.
        ends: the ids that end a text.
    """

    encode: Callable[[Any], list[int]]
    decode: Callable[[list[int]], str]
    ends: frozenset[int]

    def answer(self, completion: list[int]) -> str:
        """Return a completion's text, without the token that ended it."""
        return self.decode(completion[:-1] if completion and completion[-1] in self.ends else completion)


def coder_of_model(model: Any, tokenizer: Any) -> Coder:  # noqa: ANN401
    """Return the coder of a language model: prompts and completions are those of an environment with its tokenizer.

    Raises:
        UserError: there is no tokenizer.
        ValueError: it pads texts or cuts them off.
    """
    if tokenizer is None:
        raise UserError("policy: it has no tokenizer, which texts need; make HuggingFacePolicy(model, tokenizer=…)")
    check_fixed_lengths(tokenizer)
    return Coder(lambda text: encoded(tokenizer, text)[1], spelled_out(tokenizer), frozenset(end_ids(model, tokenizer)))


def coder_of_env(env: Any) -> Coder:  # noqa: ANN401
    """Return the coder of an environment whose tokens are characters: what precedes its prompts precedes each text.

    Raises:
        UserError: it generates no tokens, or its tokens are not each a character of its own.
    """
    task = getattr(env.unwrapped, "task", None)
    if task is None or not hasattr(task, "eos") or task.decode is None:
        raise UserError("env: it knows no characters of its tokens; give one of texts (pg/Addition-v0, say)")
    written = [task.text([token]) for token in range(task.vocabulary)]
    known = {text: token for token, text in reversed([*enumerate(written)]) if text}
    if any(len(text) > 1 for text in known):
        raise UserError("env: its tokens are not each a character, so that texts cannot be read as its tokens")
    shown, _ = env.reset(seed=0)
    first = shown["tokens"].reshape(-1, shown["tokens"].shape[-1])[0].tolist()
    begin = first[: next(place for place, token in enumerate(first) if written[token])]

    def encode(text: Any) -> list[int]:  # noqa: ANN401
        strange = next((character for character in text if character not in known), None)
        if strange is not None:
            raise UserError(f"texts: {strange!r} in {text!r} is none of the environment's characters, {''.join(known)}")
        return [*begin, *(known[character] for character in text)]

    ends = task.eos if isinstance(task.eos, list | tuple) else [task.eos]
    return Coder(encode, task.text, frozenset(map(int, ends)))
