"""Texts as ids and back, by any tokenizer: prompts that a completion can follow, and every mark that it writes."""

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
    """Return a prompt's text and ids, behind which a completion is to follow.

    A tokenizer's begin marks stand before the text once, whether it adds them, the text has them or both; end marks
    that it would add are left out. A chat's template writes its marks itself: none are added.

    Raises:
        ValueError: neither a text nor a chat, or a chat without a chat template.
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
    """Return a tokenizer's `decode`, with the marks that ids stand for where it would skip them."""
    if takes(tokenizer.decode, "skip_special_tokens"):
        return lambda ids: tokenizer.decode(ids, skip_special_tokens=False)
    decode: Callable[[list[int]], str] = tokenizer.decode
    return decode


def _ids(tokenizer: Any, text: str, **options: Any) -> list[int]:  # noqa: ANN401
    found = tokenizer.encode(text, **options)
    return [int(token) for token in getattr(found, "ids", found)]


def _bare_ids(tokenizer: Any, text: str) -> list[int] | None:  # noqa: ANN401
    """Return a text's ids without the marks that its tokenizer adds, None where that cannot be asked for."""
    known = takes(tokenizer.encode, "add_special_tokens")
    return _ids(tokenizer, text, add_special_tokens=False) if known else None


def _begun_once(marked: list[int], bare: list[int]) -> list[int]:
    """Return a text's ids `bare` behind the begin marks that it has in `marked`, unless it begins with them itself."""
    if not bare:
        return marked[:1]  # nothing but marks, the first of which begins
    places = range(len(marked) - len(bare) + 1)
    start = next((i for i in places if marked[i : i + len(bare)] == bare), None)
    if start is None:
        return marked  # spelled in another way behind a mark: what was added cannot be told apart
    begin = marked[:start]
    return bare if bare[:start] == begin else begin + bare


def takes(function: Callable[..., Any], name: str) -> bool:
    """Return whether a function has a parameter called `name`."""
    try:
        return name in inspect.signature(function).parameters
    except ValueError:  # compiled, and it does not say
        return False
