"""What was typed, before it is parsed: numbers and lists as people write them, and options of other libraries."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Iterable, Iterator, Sequence

from pg_agents.elsewhere import option_for, said_of
from pg_agents.errors import UserError

COUNTS = (
    *("total_steps", "log_every", "eval_every", "eval_episodes", "checkpoint_every", "episodes", "max_episode_steps"),
    *("samples", "trials"),
)  # options that are whole numbers, perhaps large ones
UNITS = {"": 1, "k": 10**3, "m": 10**6}
NUMBER = re.compile(r"(\d[\d_]*(?:\.\d+)?(?:e\+?\d{1,2})?)([km]?)", re.IGNORECASE)
LISTS = ("hidden",)  # options that are several whole numbers


def spelled(words: Iterable[str]) -> list[str]:
    """Return words as the parser reads them: 1e5, 100k and 0.1M as 100000; --hidden 64,64 as --hidden 64 64."""
    found: list[str] = []
    option = ""
    for word in words:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            option = _name(name)
            if option in LISTS and equals:
                found += [name, *_several(value)]
            else:
                found.append(f"{name}={_count(value)}" if option in COUNTS and equals else word)
        elif option in LISTS:
            found += _several(word)
        else:
            found.append(_count(word) if option in COUNTS else word)
            option = ""
    return found


def _count(text: str) -> str:
    """Return a whole number that is written as 1e5, 2.5e5, 100k or 1M in digits, and anything else as it is."""
    match = NUMBER.fullmatch(text)
    if match is None or text.isdigit():
        return text
    number = float(match[1].replace("_", "")) * UNITS[match[2].lower()]
    return str(int(number)) if number == int(number) else text


def _several(text: str) -> list[str]:
    """Return the words of a list with commas, perhaps in brackets."""
    return [part.strip() for part in text.strip("[]()").split(",") if part.strip()] if "," in text else [text]


def refuse_foreign(words: Sequence[str], form: type, who: str) -> None:
    """Raise UserError for options that are not `form`'s and that other libraries have, with what they are here."""
    known = {field.name for field in fields_of(form)} | {"async", "help"}
    typed = dict.fromkeys(_name(word.partition("=")[0]) for word in words if word.startswith("--"))
    meant = {name: option_for(name, known) for name in typed if name not in known}
    for name in meant:
        if meant[name] is None and (said := said_of(name)) is not None:
            raise UserError(f"{name}: {who} has no such option; {said}")
    found = [(name, here) for name, here in meant.items() if here is not None]
    if not found:
        return
    (first, here), *others = found
    more = "".join(f", and {_flag(option)} for {_flag(name)}" for name, option in others)
    raise UserError(f"{first}: {who} has no such option; write {_flag(here)}{more}")


def fields_of(form: type) -> Iterator[dataclasses.Field]:
    """Yield the fields of a dataclass, with their types, and those of the dataclasses in it."""
    hints = typing.get_type_hints(form, include_extras=True)
    for field in dataclasses.fields(form):
        field.type = hints[field.name]
        kind = getattr(field.type, "__origin__", field.type)
        if dataclasses.is_dataclass(kind):
            yield from fields_of(kind)  # type: ignore[arg-type]
        else:
            yield field


def _name(flag: str) -> str:
    return flag.lstrip("-").replace("-", "_")


def _flag(name: str) -> str:
    return "ENV, after the agent" if name == "env" else f"--{name.replace('_', '-')}"
