"""Values and texts in messages: whatever they hold, they can be printed and are no longer than a screen; near names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

SCREEN = 1600  # characters: 20 lines of 80
LINES = 20


def printable(text: str) -> str:
    r"""Return `text` with every character that cannot be seen, but for line ends and tabs, as its escape, like \x1b.

    A terminal obeys control characters, and shows a text with overrides of its direction as another one.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, most: int = SCREEN) -> str:
    """Return `text`, or where it is longer than `most` characters or 20 lines, its beginning and its end."""
    if len(text) > most:
        left_out = f" … ({len(text) - most:,} characters) … "
        text = text[: most // 2] + left_out + text[len(text) - most // 2 :]
    lines = text.split("\n")
    if len(lines) > LINES:
        text = "\n".join([*lines[: LINES // 2], f"… ({len(lines) - LINES} lines) …", *lines[-LINES // 2 :]])
    return text


def shown(value: Any, most: int = 200) -> str:  # noqa: ANN401
    """Return `repr(value)`, printable and shortened: for values from files and from people in messages."""
    return shortened(printable(repr(value)), most)


def nearest(name: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return up to `count` of `known` that look like `name`, the most similar first; case does not matter."""
    by_lower = {known_name.lower(): known_name for known_name in known}
    without = {lower.rpartition("/")[2]: lower for lower in by_lower}  # pg/Chain-v0 is found as Chain-v0 too
    found = difflib.get_close_matches(name.lower(), by_lower, count)
    found += [without[match] for match in difflib.get_close_matches(name.lower(), without, count)]
    return [by_lower[lower] for lower in dict.fromkeys(found)][:count]
