"""`pg-agents --completion bash` (or zsh): a script with which a shell completes commands, agents, ids and options."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import gymnasium as gym

from pg_agents.cli.spelling import fields_of
from pg_agents.errors import UserError

SHELLS = ("bash", "zsh")
SCRIPT = """\
_pg_agents() {
  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" words="" files=""
  case "$COMP_CWORD ${COMP_WORDS[1]} ${COMP_WORDS[2]}" in
    1\\ *) words="@COMMANDS" ;;
@PLACES
    *)
      case "${COMP_WORDS[1]} ${COMP_WORDS[2]} " in
@OPTIONS
      esac
      [[ "$cur" == -* ]] || { words=""; files=yes; }
      case "$prev" in
@VALUES
      esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$cur"))
  [[ -z "$files" || ${#COMPREPLY[@]} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$cur"))
}
complete -o filenames -F _pg_agents pg-agents
"""


def script(shell: str, commands: Mapping[str, type], agents: Mapping[str, Mapping[str, type]]) -> str:
    """Return the script for a shell.

    Args:
        shell: bash or zsh.
        commands: the options of each command, a dataclass.
        agents: command → agent → the options of both.

    Raises:
        UserError: a shell for which there is none.
    """
    if shell not in SHELLS:
        raise UserError(f"completion must be {' or '.join(SHELLS)}, got {shell!r}")
    forms = {f"{name} {agent} ": form for name, of_name in agents.items() for agent, form in of_name.items()}
    forms |= {f"{name} ": form for name, form in commands.items() if name not in agents}
    parts = {
        "COMMANDS": [" ".join([*commands, "--help", "--version", "--completion"])],
        "PLACES": list(_places(commands, agents)),
        "OPTIONS": [f'        "{where}"*) words="{" ".join(_flags(form))}" ;;' for where, form in forms.items()],
        "VALUES": [f'        {flag}) words="{" ".join(values)}"; files="" ;;' for flag, values in _values(forms)],
    }
    text = SCRIPT
    for name, lines in parts.items():
        text = text.replace(f"@{name}", "\n".join(lines))
    return f"autoload -U +X compinit bashcompinit && compinit -u && bashcompinit\n{text}" if shell == "zsh" else text


def _places(commands: Mapping[str, type], agents: Mapping[str, Mapping[str, type]]) -> Iterator[str]:
    """Yield the cases of words that are known by their places: agents, and ids of environments."""
    ids = " ".join(sorted(gym.registry))
    for name, of_name in agents.items():
        yield f'    2\\ {name}\\ *) words="{" ".join(of_name)} --help" ;;'
        yield f'    3\\ {name}\\ *) words="{ids} --help" ;;'
    for name, form in commands.items():
        if name not in agents and "env" in (field.name for field in fields_of(form)):
            yield f'    2\\ {name}\\ *) words="{ids} --help" ;;'


def _flags(form: type) -> list[str]:
    """Return the flags of a form: those that turn something off where that is its default's opposite."""
    found = ["--help"]
    for field in fields_of(form):
        if any("positional" in str(mark).lower() for mark in getattr(field.type, "__metadata__", ())):
            continue
        name = "async" if field.name == "asynchronous" else field.name
        found.append(f"--{'no-' if field.default is True else ''}{name.replace('_', '-')}")
    return found


def _values(forms: Mapping[str, type]) -> Iterator[tuple[str, list[str]]]:
    """Yield the flags that take one of a few words, and these; of an option that agents differ in, all."""
    found: dict[str, dict[str, None]] = {}
    for form in forms.values():
        for field in fields_of(form):
            if values := list(_choices(field.type)):
                found.setdefault(f"--{field.name.replace('_', '-')}", {}).update(dict.fromkeys(values))
    yield from ((flag, list(values)) for flag, values in found.items())


def _choices(hint: Any) -> Iterator[str]:  # noqa: ANN401
    if typing.get_origin(hint) is Literal:
        yield from map(str, typing.get_args(hint))
    else:
        for part in typing.get_args(hint):
            yield from _choices(part)
