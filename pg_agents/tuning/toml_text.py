"""Tables of plain values as TOML, which Python reads and does not write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

NONE = '"none"'  # TOML has no word for None


def toml_text(table: Mapping[str, Any], comments: Sequence[str] = ()) -> str:
    """Return a table as TOML: comments, then its values, then the tables in it, one level deep."""
    plain = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"# {comment}".rstrip() for comment in comments] + [""] * bool(comments)
    lines += [f"{name} = {_value(value)}" for name, value in plain.items()]
    for name, inner in table.items():
        if isinstance(inner, Mapping) and inner:
            lines += ["", f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in inner.items())]
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _text(name)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value: Any) -> str:  # noqa: ANN401
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + "}"
    return _text(str(value))
