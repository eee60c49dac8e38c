"""`--import MODULE`: modules of the user's that register environments, agents or tasks, imported as they are typed.

No file names them: a run's folder does not remember them, and they are typed again to evaluate it or to go on. They are
imported before anything else that was typed is looked up, and once more in each process that a command starts.
"""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from pg_agents.errors import UserError
from pg_agents.spaces.packages import import_named

FLAG = "--import"
Imports = Annotated[
    tyro.conf.UseAppendAction[tuple[str, ...]],
    tyro.conf.arg(
        name="import",
        metavar="MODULE",
        help="A module of one's own, or its file mine.py, that registers environments or agents: it is imported first, "
        "which runs its code.",
    ),
]
typed_now: list[str] = []  # the modules of the command that runs, whole paths of files


def import_typed(form: type, words: Sequence[str]) -> None:
    """Import what `--import` names among the typed words, for a command whose options have it.

    Raises:
        UserError: a module is missing or cannot be imported.
    """
    typed_now.clear()
    fields: Any = dataclasses.fields(form)
    if any(field.name == "imports" for field in fields):
        for named in _named(words):
            import_named(named)
            file = Path(named).expanduser()
            typed_now.append(str(file.resolve()) if file.suffix == ".py" else named)


def _named(words: Sequence[str]) -> Iterator[str]:
    for place, word in enumerate(words):
        if word.startswith(f"{FLAG}="):
            yield word.partition("=")[2]
        elif word == FLAG:
            if place + 1 == len(words) or words[place + 1].startswith("-"):
                raise UserError("import: name the module, or its file; for example --import mine.py")
            yield words[place + 1]


def as_typed() -> str:
    """Return what makes a further command import the same modules, with a space in front; "" if there are none."""
    return "".join(f" {FLAG} {shlex.quote(named)}" for named in typed_now)
