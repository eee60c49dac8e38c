"""What was typed → a command with its options; those of `train` also from a file and from tuned settings."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

from pg_agents.agents import AGENTS, Agent
from pg_agents.agents.published import PUBLISHED
from pg_agents.cli.agent_options import agent_form, summary
from pg_agents.cli.completion import SHELLS, script
from pg_agents.cli.config_file import FromFile, read_file
from pg_agents.cli.environments import with_tuned_env
from pg_agents.cli.importing import import_typed
from pg_agents.cli.options import COMMANDS, PROGRAM, Options, RunOptions, TrainOptions, TuneCommand, TuneOptions
from pg_agents.cli.refusing import read
from pg_agents.cli.seed_list import seeds_typed
from pg_agents.cli.spelling import refuse_foreign, spelled
from pg_agents.elsewhere import agent_for
from pg_agents.errors import UserError
from pg_agents.shown import nearest
from pg_agents.training.tuned import tuned_settings


def parse(argv: Sequence[str]) -> Options:
    """Return the command and its options that `argv` asks for.

    Raises:
        UserError: an unknown command or agent; an option that cannot be read; a file of --config that does not fit.
        SystemExit: 0 after help; 2 where nothing was typed.
    """
    if argv and argv[0] in ("--version", "--completion"):
        print(_version() if argv[0] == "--version" else _completion(*argv[1:2]))
        raise SystemExit(0)
    command, rest = _choose(argv, COMMANDS, "command", PROGRAM)
    import_typed(COMMANDS[command], rest)
    if command == "tune":
        typed = _typed_for_agent(command, rest, TuneOptions)
        return TuneCommand(typed.agent, typed.run, typed.own | typed.arguments)
    if command != "train":
        rest = spelled(rest)
        refuse_foreign(rest, COMMANDS[command], command)
        return read(COMMANDS[command], rest, command)
    typed = _typed_for_agent(command, rest, RunOptions)
    found = FromFile() if typed.run.config is None else read_file(typed.run, typed.agent)
    run, own = _filled(typed, found)
    if not run.env:
        raise UserError("env: it is missing; give the id of an environment, such as CartPole-v1, after the agent")
    beside = found.run.keys() if "seeds" not in typed.names else ()
    seeds = seeds_typed(run.seeds, run.seed if "seed" in typed.names.union(beside) else None)
    return TrainOptions(typed.agent, run, own | typed.arguments, seeds)


@dataclasses.dataclass
class Typed:
    """What was typed after the name of an agent.

    Attributes:
        agent: the agent's class.
        own: arguments that its name stands for, if it is that of a published objective.
        run: the options that are none of the agent's.
        arguments: the agent's arguments that were typed, by name.
        names: the names of all options that were typed.
    """

    agent: type[Agent]
    own: dict[str, Any]
    run: Any
    arguments: dict[str, Any]
    names: set[str]


def _typed_for_agent(command: str, rest: Sequence[str], form: type) -> Typed:
    forms, published = _forms(form), {one.command: one for one in PUBLISHED.values()}
    name, rest = _choose(rest, forms, "agent", f"{PROGRAM} {command}")
    rest = spelled(rest)
    refuse_foreign(rest, forms[name], name)
    parsed = read(forms[name], rest, command, name)
    names = {
        word.partition("=")[0].lstrip("-").replace("-", "_").removeprefix("no_")
        for word in rest
        if word.startswith("--")
    }
    given = vars(parsed.networks) | vars(parsed.language) | vars(parsed.agent)
    arguments = {key: value for key, value in given.items() if key in names}
    agent, own = (AGENTS[name], {}) if name in AGENTS else (published[name].agent, published[name].arguments)
    return Typed(agent, own, parsed.run, arguments, names)


def _forms(form: type) -> dict[str, type]:
    """Return the options of each agent and each published objective, with those of a command."""
    forms = {name: agent_form(agent, form) for name, agent in AGENTS.items()}
    return forms | {one.command: agent_form(one.agent, form, one) for one in PUBLISHED.values()}


def _version() -> str:
    import gymnasium
    import torch

    import pg_agents  # here: it imports everything else first

    python, around = ".".join(map(str, sys.version_info[:3])), f"gymnasium {gymnasium.__version__}"
    return f"{PROGRAM} {pg_agents.__version__} (Python {python}, torch {torch.__version__}, {around})"


def _completion(shell: str = "") -> str:
    return script(shell, COMMANDS, {name: _forms(COMMANDS[name]) for name in ("train", "tune")})


def _filled(typed: Typed, found: FromFile) -> tuple[RunOptions, dict[str, Any]]:
    """Return the run's options and the agent's arguments, with what was not typed from the file and tuned settings."""
    run, names = found.fill(typed.run, typed.names), typed.names | found.run.keys()
    if not run.tuned:
        return run, typed.own | found.arguments
    if "policy" in typed.arguments | found.arguments:
        raise UserError(
            "tuned: the tuned settings are for new networks, not for a language model; leave out --tuned or --policy"
        )
    settings = tuned_settings(typed.agent.name, run.env)
    sizes = {"num_envs": settings.num_envs, "total_steps": settings.total_steps}
    run = dataclasses.replace(run, **{key: value for key, value in sizes.items() if key not in names})
    run = dataclasses.replace(run, **with_tuned_env(run.env, run.env_arg, run.wrapper, settings))
    return run, settings.arguments | typed.own | found.arguments


def _choose(argv: Sequence[str], forms: dict[str, type], what: str, prog: str) -> tuple[str, list[str]]:
    """Return the first word of `argv` if it is one of `forms`, and the rest; else show help or an error."""
    if argv and argv[0] in forms:
        return argv[0], list(argv[1:])
    if argv and not argv[0].startswith("-"):
        if what == "agent" and (said := agent_for(argv[0])) is not None:
            raise UserError(f"agent: there is no agent {argv[0]!r}: {said}")
        near = nearest(argv[0], forms, 1)
        known = f"did you mean {near[0]}?" if near else f"known: {', '.join(forms)}"
        known += "; one of your own: --import its module" if what == "agent" else ""
        raise UserError(f"{what}: there is no {what} {argv[0]!r}; {known}")
    lines = [f"usage: {prog} {what.upper()} ...", "", f"{what}s:"]
    lines += [f"  {name:20} {summary(form)}" for name, form in forms.items()]
    lines += ["", f"{prog} {what.upper()} --help shows the options."]
    if what == "command":
        lines += [
            f"{prog} --version shows the versions, {prog} --completion {'|'.join(SHELLS)} a script for the shell."
        ]
    wanted = bool(argv) and argv[0] in ("-h", "--help")
    if argv and not wanted:
        raise UserError(f"{what}: {argv[0]} comes before the {what}; write {prog} {what.upper()} ... {argv[0]}")
    print("\n".join(lines), file=sys.stdout if wanted else sys.stderr)
    raise SystemExit(0 if wanted else 2)
