"""Texts to ids and back with any tokenizer; special tokens are kept where they belong."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Messages = Sequence[Mapping[str, Any]]  # of a chat: {"role": …, "content": …}


def check_fixed_lengths(tokenizer: Any) -> None:  # noqa: ANN401
    """Raise ValueError for a tokenizer (of the package tokenizers) that pads texts or cuts them off."""
    for setting in ("padding", "truncation"):
        if getattr(tokenizer, setting, None):
            raise ValueError(
                f"tokenizer: its {setting} is on, which would change prompts; turn it off with tokenizer.no_{setting}()"
            )


def encoded(tokenizer: Any, prompt: str | Messages) -> tuple[str, list[int]]:  # noqa: ANN401
    """Return a prompt's text and ids, ready to be continued by a completion.

    A tokenizer's beginning-of-sequence tokens precede the text once, whether the tokenizer adds them, the text has them
    or both; end tokens that it would add are left out. To a chat nothing is added: its template writes these tokens.

    Raises:
        ValueError: the prompt is neither a text nor a chat, or a chat and the tokenizer has no chat template.
    """
    if isinstance(prompt, str):
        marked, bare = _ids(tokenizer, prompt), _bare_ids(tokenizer, prompt)
        return prompt, marked if bare is None else _begun_once(marked, bare)
    if (
        not isinstance(prompt, Sequence)
        or not prompt
        or not all(isinstance(m, Mapping) and "role" in m for m in prompt)
    ):
        raise ValueError(
            'prompts must be texts or chats, each of which is a list of {"role": …, "content": …}, got one that is '
            f"{prompt!r}"
        )
    if not hasattr(tokenizer, "apply_chat_template"):
        raise ValueError(f"prompts: a chat needs a tokenizer with apply_chat_template, got {prompt!r}")
    text = tokenizer.apply_chat_template(list(prompt), tokenize=False, add_generation_prompt=True)
    bare = _bare_ids(tokenizer, text)
    return text, _ids(tokenizer, text) if bare is None else bare


def spelled_out(tokenizer: Any) -> Callable[[list[int]], str]:  # noqa: ANN401
    """Return a tokenizer's `decode`, with special tokens written out instead of skipped."""
    if takes(tokenizer.decode, "skip_special_tokens"):
        return lambda ids: tokenizer.decode(ids, skip_special_tokens=False)
    decode: Callable[[list[int]], str] = tokenizer.decode
    return decode


def _ids(tokenizer: Any, text: str, **options: Any) -> list[int]:  # noqa: ANN401
    found = tokenizer.encode(text, **options)
    return [int(token) for token in getattr(found, "ids", found)]


def _bare_ids(tokenizer: Any, text: str) -> list[int] | None:  # noqa: ANN401
    """Return a text's ids without added special tokens; None if the tokenizer has no such option."""
    known = takes(tokenizer.encode, "add_special_tokens")
    return _ids(tokenizer, text, add_special_tokens=False) if known else None


def _begun_once(marked: list[int], bare: list[int]) -> list[int]:
    """Return the ids `bare` after the beginning-of-sequence tokens of `marked`, unless they begin with them already."""
    if not bare:
        return marked[:1]  # an empty text: of the special tokens only the first begins a sequence
    places = range(len(marked) - len(bare) + 1)
    start = next((i for i in places if marked[i : i + len(bare)] == bare), None)
    if start is None:
        return marked  # the text is split differently after a special token: what was added cannot be told
    begin = marked[:start]
    return bare if bare[:start] == begin else begin + bare


def takes(function: Callable[..., Any], name: str) -> bool:
    """Return whether a function has a parameter called `name`."""
    try:
        return name in inspect.signature(function).parameters
    except ValueError:  # compiled functions may have no signature
        return False
