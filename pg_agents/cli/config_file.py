"""A file with arguments for `train`: in TOML or JSON, as the tuner writes it, or a run's config.json.

Nothing in it is run. A module that its env names is imported only if the file is trusted, or the same env is typed.
TOML has no word for None: there "none" is it.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pg_agents.agents import Agent
from pg_agents.checks import is_count
from pg_agents.cli.run_arguments import RunArguments
from pg_agents.configuration import Option
from pg_agents.elsewhere import check_names
from pg_agents.errors import UserError
from pg_agents.llm import LanguageConfig
from pg_agents.policies import NetworkConfig
from pg_agents.shown import shown
from pg_agents.spaces.given_envs import GIVEN
from pg_agents.spaces.packages import untrusted_module
from pg_agents.spaces.wrappers import Wrapper
from pg_agents.training.learners_reports import SHARES, share
from pg_agents.training.run_files import CONFIG

TRUST = "--trust-config"
OF_ENVIRONMENTS = ("env_args", "eval_env_args")
TABLES = ("arguments", "networks", *OF_ENVIRONMENTS)
OF_A_RUN = ("parameters", "torch", "way", "earlier", "ranks", "batches")  # what a run's config.json says besides
KINDS: dict[type, str] = {dict: "table", list: "list"}
NONE = "none"


@dataclass
class FromFile:
    """What a file gives.

    Attributes:
        run: options of the run, by name, as if they were typed.
        arguments: of the agent and its networks, by name.
        env_args: of the environment, by name.
        eval_env_args: of the evaluations' environment, by name.
        wrappers: of each single environment, as texts.
    """

    run: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    env_args: dict[str, Any] = field(default_factory=dict)
    eval_env_args: dict[str, Any] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()

    def fill(self, run: Any, typed: set[str]) -> Any:  # noqa: ANN401
        """Return a run's options with those of the file that were not typed; `typed` are the names of those that were.

        Typed seeds replace the file's, as a typed seed does a list of them; how evaluations are made matters only
        where there are any.
        """
        evaluated = "eval_every" in typed | self.run.keys()
        replaced = typed | ({"env"} if run.env else set()) | (set() if evaluated else {"eval_episodes"})
        if "seeds" in typed or ("seed" in typed and "," in self.run.get("seeds", "")):
            replaced |= {"seed", "seeds", "jobs"}
        given = {name: value for name, value in self.run.items() if name not in replaced}
        env_arg = _beside(self.env_args, run.env_arg)
        eval_env_arg = _beside(self.eval_env_args if evaluated else {}, run.eval_env_arg)
        wrapper = run.wrapper or self.wrappers
        return replace(run, **given, env_arg=env_arg, eval_env_arg=eval_env_arg, wrapper=wrapper)


def _beside(arguments: Mapping[str, Any], typed: Sequence[str]) -> tuple[str, ...]:
    names = {pair.partition("=")[0] for pair in typed}
    return (*(f"{name}={value!r}" for name, value in arguments.items() if name not in names), *typed)


def read_file(run: Any, agent: type[Agent]) -> FromFile:  # noqa: ANN401
    """Return what the file `run.config` gives for an agent.

    Raises:
        UserError: it cannot be read, is for another agent, has a key that there is not or a value of another kind, or
            names a module and is not trusted; the message names the file, the key, the value and the way out.
    """
    found = _table(run.config)
    with _naming(run.config):
        values = _of_one_learner(found)
        if (name := values.pop("agent", agent.name)) != agent.name:
            raise ValueError(
                f"agent is {shown(name)}, but {agent.name} is to be trained; take a file for {agent.name}, or train "
                "that agent"
            )
        wrappers = _checked("wrappers", values.pop("wrappers", None) or [], list)
        tables = {name: _checked(name, values.pop(name, None) or {}, dict) for name in TABLES}
        top = _top(values, agent)
        if "env" in top and not run.env and not run.trust_config:
            _refuse_module(top["env"])
        arguments = _arguments(agent, tables["arguments"]) | _arguments(agent, tables["networks"])
        texts = tuple(str(_wrapper(one)) for one in wrappers)
    return FromFile(top, arguments, tables["env_args"], tables["eval_env_args"], texts)


def _table(path: Path) -> dict[str, Any]:
    """Return the table in a file.

    Raises:
        UserError: it cannot be read, or holds no table of plain values.
    """
    kinds: dict[str, Callable[[str], Any]] = {".toml": _toml, ".json": json.loads}
    if path.suffix not in kinds:
        inside = f"; give {path / CONFIG}" if (path / CONFIG).is_file() else ""
        raise UserError(f"config: {path} must be a file whose name ends in .toml or .json{inside}")
    try:
        found = kinds[path.suffix](path.read_text(encoding="utf-8"))
        json.dumps(found)  # no dates
    except OSError as error:
        raise UserError(f"config: {path} cannot be read ({error.strerror}); give a file that there is") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise UserError(f"config: {path} cannot be read as {path.suffix[1:].upper()} ({shown(error)})") from error
    if not isinstance(found, dict):
        raise UserError(f"config: {path} must hold a table of arguments by name, got {shown(found)}")
    given = {GIVEN, "env"} if GIVEN in found else set()  # the name of an object in Python need not make it again
    return {name: value for name, value in found.items() if name not in OF_A_RUN and name not in given}


def _toml(text: str) -> dict[str, Any]:
    """Return the table in a text; the arguments of environments have no types by which to tell a text from None."""
    found = tomllib.loads(text)
    for name in OF_ENVIRONMENTS:
        if isinstance(table := found.get(name), dict):
            found[name] = {key: None if _is_none(value) else value for key, value in table.items()}
    return found


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A context in which what is wrong in a file is said with the file's name."""
    try:
        yield
    except UserError as error:
        raise UserError(f"config: {path}: {error}", error.again) from error
    except (TypeError, ValueError) as error:
        raise UserError(f"config: {path}: {error}") from error


def _of_one_learner(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a file says of each of several learners, whose run's config.json has the numbers of all of them."""
    networks = values.get("networks")
    if not isinstance(networks, dict) or "num_learners" not in networks:
        return values
    networks = dict(networks)
    count, seeds = networks.pop("num_learners"), networks.pop("seeds", None)
    if not is_count(count):
        raise ValueError(f"num_learners must be a whole number, 1 or above, got {shown(count)}")
    own = {name: share(values[name], count, name) for name in SHARES if type(values.get(name)) is int}
    return values | own | {"networks": networks, "seeds": count if seeds is None else seeds}


def _checked(name: str, value: Any, kind: Any) -> Any:  # noqa: ANN401
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {KINDS[kind]}, got {shown(value)}")
    return value


def _top(values: dict[str, Any], agent: type[Agent]) -> dict[str, Any]:
    """Return the options of a run, as if they were typed; None is left out."""
    options = RunArguments.options()
    for name in values:
        if name not in options and name in _options(agent):
            raise ValueError(f"{name} is an argument of the agent; write it below [arguments]")
    check_names("a file of arguments", values, [*options, "wrappers", *TABLES])
    read = {name: _read(options[name], value) for name, value in values.items()}
    if isinstance(seeds := read.get("seeds"), tuple):
        one = len(seeds) == 1
        read |= {"seed": seeds[0] if one else None, "seeds": None if one else ",".join(map(str, seeds))}
    for name in ("seeds", "checkpoint_every"):
        read[name] = None if read.get(name) is None else str(read[name])
    return {name: value for name, value in read.items() if value is not None}


def _arguments(agent: type[Agent], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an agent and its networks."""
    if "encoder" in given:
        raise ValueError(f"encoder is a module of one's own, {shown(given['encoder'])}, which only Python can give")
    options = _options(agent)
    check_names(agent.name, given, list(options))
    return {name: _read(options[name], value) for name, value in given.items()}


def _options(agent: type[Agent]) -> dict[str, Option]:
    known = NetworkConfig.options() | LanguageConfig.options() | agent.config_class.options()
    return {name: option for name, option in known.items() if name != "num_learners"}


def _read(option: Option, value: Any) -> Any:  # noqa: ANN401
    return option.read(None if option.optional and _is_none(value) else value)


def _is_none(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, str) and value.lower() == NONE


def _wrapper(given: Any) -> Wrapper:  # noqa: ANN401
    if isinstance(given, str):
        return Wrapper.parse(given)
    known = isinstance(given, dict) and "name" in given and given.keys() <= {"name", "arguments"}
    if not known:
        raise ValueError(
            f"wrappers must be texts like 'FrameStackObservation:stack_size=4', or tables of a name and arguments, got "
            f"{shown(given)}"
        )
    return Wrapper(**given)


def _refuse_module(env: str) -> None:
    """Raise UserError for an environment's id with a module, importing which runs its code."""
    if (module := untrusted_module(env)) is not None:
        raise UserError(
            f"env names a module, {shown(module)}, and importing it runs its code; type ENV, too, or if you trust the "
            "file",
            TRUST,
        )
