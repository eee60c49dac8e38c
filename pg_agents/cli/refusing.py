"""What was typed and cannot be read: one line that names the option, the value and what is accepted."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr
from typing import Any, Literal, get_args

import tyro

from pg_agents.agents import AGENTS
from pg_agents.cli.options import COMMANDS, PROGRAM, RunOptions
from pg_agents.cli.spelling import COUNTS, LISTS, fields_of
from pg_agents.elsewhere import option_for
from pg_agents.errors import UserError
from pg_agents.llm import LanguageConfig
from pg_agents.policies import NetworkConfig
from pg_agents.shown import nearest

CONFIG = (tyro.conf.FlagCreatePairsOff,)
NAMES = {"asynchronous": "async", "imports": "import"}  # fields that are typed by other names
SPECIAL = {  # (command, option) → what to do instead
    ("train", "resume"): f"a run goes on with: {PROGRAM} resume RUN",
    ("tune", "config"): "type the arguments of that file; what is typed is kept, and the rest is looked for",
    ("tune", "resume"): "the same command goes on with a study that has --storage",
    **dict.fromkeys(
        [("generate", name) for name in ("text", "texts", "prompt", "prompts")],
        f'texts are typed after the folder, each in quotes: {PROGRAM} generate RUN "3+4=" "5+2="',
    ),
}
KEPT = (
    "a run goes on with the settings that it has; for others train anew, from those on: "
    f"{PROGRAM} train AGENT --config RUN/config.json --{{}} …"
)
POSITIONAL = {  # words without an option's name → how they are typed
    "env": "the environment's id is a word of its own: {} CartPole-v1",
    "path": "the folder is a word of its own: {} RUN",
    "runs": "the folders are words of their own: {} RUN RUN",
    "repo": "the repository is a word of its own: {} RUN OWNER/NAME",
}
MARK = get_args(tyro.conf.Positional[str])[1]
RULE = re.compile(r"[╭│ ]*[─-]{8,}[│ ]*|╭.*|╰.*")  # lines of the box around an error, also without such characters


def read(form: type, words: Sequence[str], command: str, agent: str = "") -> Any:  # noqa: ANN401
    """Return the options in `words` as `form`.

    Raises:
        UserError: they cannot be read.
        SystemExit: 0 after help.
    """
    words = list(_without_defaults(words, form))
    _refuse_unknown(words, form, command, agent)
    program, said = " ".join(filter(None, (PROGRAM, command, agent))), io.StringIO()
    try:
        with redirect_stderr(said):
            return tyro.cli(form, args=words, prog=program, config=CONFIG)
    except SystemExit as end:
        if not end.code:
            raise
        message = _in_one_line(said.getvalue(), words, {_typed(field.name): field.type for field in fields_of(form)})
        raise UserError(message.format(help=f"{program} --help")) from None


def _typed(name: str) -> str:
    return NAMES.get(name, name)


def _name(word: str) -> str:
    return word.partition("=")[0].lstrip("-").replace("-", "_")


def _without_defaults(words: Sequence[str], form: type) -> Iterator[str]:
    """Yield the words without those that turn on what is on, or off what is off: --quiet is known, --no-quiet not."""
    flags = {_typed(field.name): field.default for field in fields_of(form) if _kinds(field.type) == (bool,)}
    for word in words:
        name = _name(word)
        off = name.startswith("no_")
        default = flags.get(name.removeprefix("no_") if off else name)
        if not (word.startswith("--") and "=" not in word and default is not None and default is not off):
            yield word


# -- options that there are not ----------------------------------------------------------------------------------------
def _refuse_unknown(words: Sequence[str], form: type, command: str, agent: str) -> None:
    known = {_typed(field.name) for field in fields_of(form) if not _is_positional(field.type)} | {"help"}
    for word in words:
        name = _name(word)
        if word.startswith("--") and name and not {name, name.removeprefix("no_")} & known:
            raise UserError(f"{name}: {agent or command} has no such option; {_instead(name, known, command, agent)}")


def _instead(name: str, known: set[str], command: str, agent: str) -> str:
    """Return what to do in the place of an option that a command has not."""
    if (command, name) in SPECIAL:
        return SPECIAL[command, name]
    if name in POSITIONAL and name in {field.name for field in fields_of(COMMANDS[command])}:
        return POSITIONAL[name].format(" ".join(filter(None, (PROGRAM, command, agent))))
    of_train = {field.name for field in fields_of(RunOptions)}
    of_agents = {one: set(form.argument_names()) for one, form in AGENTS.items()}
    everywhere = of_train.union(*of_agents.values(), NetworkConfig.options(), LanguageConfig.options())
    meant = name if name in everywhere else option_for(name, everywhere)
    if command == "resume" and meant is not None:
        return KEPT.format(meant.replace("_", "-"))
    if agent and (having := [one for one, names in of_agents.items() if name in names]):
        return f"it is one of {', '.join(having)}"
    having = [one for one, form in COMMANDS.items() if name in {_typed(field.name) for field in fields_of(form)}]
    if having:
        return f"it is one of {', '.join(having)}"
    near = nearest(name, known, 1)
    return f"did you mean --{near[0].replace('_', '-')}?" if near else f"{PROGRAM} {command} --help shows its options"


# -- what the parser says ----------------------------------------------------------------------------------------------
def _in_one_line(said: str, words: Sequence[str], types: dict[str, Any]) -> str:
    """Return the parser's error, which stands in a box, as one line; {help} is what shows all options."""
    lines = _lines(said)
    text = " ".join(" ".join(lines).split())
    if match := re.match(r"Error parsing (?:--)?([\w-]+):", text) or re.match(r"invalid choice .* '--([\w-]+)'", text):
        return _value(_name(match[1]), words, types)
    if match := re.match(r"Missing value for argument '--([\w-]+)'", text):
        name = _name(match[1])
        return f"{name}: its value is missing; give {_accepted(name, types)}"
    if text.startswith("Missing from"):
        return f"{'; '.join(_missing(lines[1:]))}; {{help}} shows the options"
    if match := re.match(r"Unrecognized options: ([^,]+)", text):
        return _too_many(match[1], words, types)
    return f"{text.replace('{', '{{').replace('}', '}}')}; {{help}} shows the options"


def _lines(said: str) -> list[str]:
    """Return the lines of the error in a box, between its title and its help."""
    title, *rest = textwrap.dedent("\n".join(line.strip("│") for line in said.splitlines())).splitlines()
    rules = [place for place, line in enumerate(rest) if RULE.fullmatch(line)]
    first = 0 if RULE.fullmatch(title) else 1  # a title in the box's border, or a line of its own with a rule below
    end = next((place for place in rules if place >= first), len(rest))
    return textwrap.dedent("\n".join(rest[first:end])).splitlines()


def _value(name: str, words: Sequence[str], types: dict[str, Any]) -> str:
    """Return what is said of an option whose value cannot be read."""
    return f"{name} must be {_accepted(name, types)}, got {_escaped(' '.join(_given(name, words)))}"


def _given(name: str, words: Sequence[str]) -> Iterator[str]:
    """Yield the words that stand behind an option, where it is typed last."""
    places = [place for place, word in enumerate(words) if word.startswith("--") and _name(word) == name]
    if not places:
        return
    _, equals, value = words[places[-1]].partition("=")
    if equals:
        yield value
    for word in words[places[-1] + 1 :]:
        if word.startswith("--"):
            return
        yield word
        if name not in LISTS:
            return


def _accepted(name: str, types: dict[str, Any]) -> str:
    """Return which values an option takes, as text."""
    if name in LISTS:
        return "whole numbers, such as 64 64 or 64,64"
    if name in COUNTS:
        return "a whole number, such as 100000 or 1e5"
    kinds = _kinds(types.get(name))
    choices = [str(choice) for kind in kinds for choice in get_args(kind) if str(kind).startswith("typing.Literal")]
    if choices:
        return f"{', '.join(choices[:-1])} or {choices[-1]}" if choices[1:] else choices[0]
    if bool in kinds:
        return "True or False"
    if float in kinds:
        return "a number, such as 0.5 or 1e-3"
    return "a whole number, such as 8" if int in kinds else "one, or leave the option out"


def _kinds(hint: Any) -> tuple[Any, ...]:  # noqa: ANN401
    """Return the types of which a value may be one."""
    hint = getattr(hint, "__origin__", hint) if hasattr(hint, "__metadata__") else hint
    is_one = not get_args(hint) or getattr(hint, "__origin__", None) in (Literal, tuple, list)
    return (hint,) if is_one else tuple(kind for part in get_args(hint) for kind in _kinds(part))


def _is_positional(hint: Any) -> bool:  # noqa: ANN401
    return MARK in getattr(hint, "__metadata__", ())


def _missing(lines: Sequence[str]) -> Iterator[str]:
    """Yield of each option or word that is missing what it is."""
    name, told = "", list[str]()
    for line in [*lines, "    "]:
        if line.startswith("        "):
            told.append(line.strip())
        else:
            if name:
                yield f"{name} is missing: {' '.join(told).removesuffix('(required)').strip().rstrip('.')}"
            name, told = line.strip(), []


def _too_many(word: str, words: Sequence[str], types: dict[str, Any]) -> str:
    """Return what is said of a word that is no option's value."""
    before = next((one for one in words if one.endswith(f"={word}")), "")
    before = words[words.index(word) - 1] if word in words[1:] else before
    name = _name(before)
    flag = before.startswith("--") and bool in _kinds(types.get(name.removeprefix("no_")))
    if flag and name == "video":
        return f"video: it takes no value, since videos are written into RUN/videos; leave {_escaped(word)} out"
    if flag:
        return f"{before.partition('=')[0]} is given or left out, and takes no value; leave {_escaped(word)} out"
    return f"{_escaped(word)} is one word too many; {{help}} shows what is typed"


def _escaped(text: str) -> str:
    return repr(text).replace("{", "{{").replace("}", "}}")
