"""`python -m pg_agents.cli.stubs`: signatures for editors and type checkers, made from the configurations.

It writes `pg_agents/__init__.pyi`, where every agent's constructor and `for_env` name their options with types and
defaults. With `--check` nothing is written, and the exit status is 1 if the file is stale.
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pg_agents
from pg_agents.agents import AGENTS, Agent
from pg_agents.configuration import Configuration, without_rules
from pg_agents.llm import LanguageConfig
from pg_agents.policies import NetworkConfig

FILE = Path(pg_agents.__file__).with_suffix(".pyi")


def stub() -> str:
    """Return the text of the stub file."""
    agents = {agent.__name__: agent for agent in AGENTS.values()}
    lines = [
        "# Made of the configurations by `python -m pg_agents.cli.stubs`: not to be edited.",
        "from collections.abc import Iterable, Mapping, Sequence",
        "from typing import Any, Literal, Self",
        "",
    ]
    for name in sorted(set(pg_agents.__all__) - agents.keys() - {"LanguageConfig", "NetworkConfig", "train", "load"}):
        lines.append(f"from {_home(name)} import {name} as {name}")
    lines += ["from pg_agents.spaces.wrappers import Wrapper as Wrapper"]
    lines += ["from pg_agents.agents import load as load", "from pg_agents.training.loop import train as train"]
    lines += ["from pg_agents.llm import LanguageConfig as LanguageConfig"]
    lines += ["from pg_agents.policies import NetworkConfig as NetworkConfig"]
    for name, agent in agents.items():
        lines.append(f"from {agent.__module__} import {name} as _{name}")
    lines += ["", "__version__: str", "__all__: list[str]"]
    for agent in agents.values():
        lines += ["", *_class(agent)]
    return "\n".join(lines) + "\n"


def _home(name: str) -> str:
    """Return the module from which a public name is imported."""
    thing = getattr(pg_agents, name)
    return "pg_agents.agents" if isinstance(thing, dict) else thing.__module__


def _class(agent: type[Agent]) -> Iterator[str]:
    """Yield the lines of an agent's class."""
    name, config = agent.__name__, agent.config_class
    options = list(_arguments(config))
    networks = [*_arguments(NetworkConfig), *_arguments(LanguageConfig, required="None")]
    yield f"class {name}(_{name}):"
    yield "    def __init__("
    critic, reference = "critic_learning_rate" in config.options(), "kl_weight" in config.options()
    yield "        self,\n        *,\n        policy: Policy,"
    if critic:
        yield "        critic: Any = None,"
    if reference:
        yield "        reference: Policy | None = None,"
    yield f"        config: {config.__name__} | None = None,"
    yield from options
    yield "    ) -> None: ..."
    yield "    @classmethod"
    yield "    def for_env(  # type: ignore[override]"
    yield "        cls,\n        env: Any,\n        *,\n        num_envs: int | None = None,"
    yield "        env_args: Mapping[str, Any] | None = None,\n        wrappers: Iterable[str | Wrapper] | None = None,"
    yield "        seed: int = 0,\n        seeds: Sequence[int] | None = None,"
    yield f"        config: {config.__name__} | None = None,"
    yield "        network: NetworkConfig | LanguageConfig | None = None,"
    yield from options
    yield from networks
    yield "    ) -> Self: ..."


def _arguments(config: type[Configuration], required: str = "") -> Iterator[str]:
    """Yield a line for each option of a configuration."""
    for name, option in config.options().items():
        kind = spelled(option.type)
        if option.default is dataclasses.MISSING:
            yield f"        {name}: {kind} | None = {required},"
        else:
            yield f"        {name}: {kind} = {option.default!r},"


def spelled(hint: Any) -> str:  # noqa: ANN401
    """Return a type as source text, without the rules of `Annotated`."""
    hint = without_rules(hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " | ".join(dict.fromkeys(spelled(argument) for argument in arguments))
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]".replace("'", '"')
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(spelled, arguments))}]"
    return "None" if hint is type(None) else hint.__name__


def main(argv: Sequence[str]) -> int:
    """Write the file, or with --check compare it; return the exit status."""
    text = stub()
    if list(argv) != ["--check"]:
        FILE.write_text(text)
        return 0
    if FILE.exists() and FILE.read_text() == text:
        return 0
    print(f"{FILE.name} is stale: python -m pg_agents.cli.stubs writes it anew", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
