"""An agent's options on the command line: dataclasses for tyro, made from the configurations."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

import tyro

from pg_agents.agents import Agent
from pg_agents.agents.published import Published
from pg_agents.configuration import Configuration, Option, without_rules
from pg_agents.llm import LanguageConfig
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.policies import NetworkConfig


def agent_form(agent: type[Agent], run: type, published: Published | None = None) -> type:
    """Return a dataclass with the options of a run, of networks, of language models and of the agent."""
    unprefixed = tyro.conf.arg(name="")
    policies = {kind.__name__: kind for kind in agent.policy_defaults} | {"language model": HuggingFacePolicy}
    defaults = {title: agent.form().defaults_for(kind) for title, kind in policies.items()}
    own = {} if published is None else published.arguments
    parts = {
        "run": run,
        "networks": _form(NetworkConfig, "Networks", without=("num_learners",)),
        "language": _form(LanguageConfig, "LanguageModel"),
        "agent": _form(agent.config_class, agent.__name__, own=own, defaults=defaults),
    }
    form = dataclasses.make_dataclass(
        agent.__name__, [(key, Annotated[part, unprefixed]) for key, part in parts.items()]
    )
    form.__doc__ = summary(agent) if published is None else described(published)
    return form


def _form(
    config: type[Configuration],
    title: str,
    *,
    without: Sequence[str] = (),
    own: Mapping[str, Any] | None = None,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> type:
    """Return a dataclass with a configuration's options as they are typed.

    Args:
        config: the configuration's class.
        title: how the dataclass's name begins.
        without: options to leave out.
        own: defaults that replace the configuration's.
        defaults: for each kind of policy, defaults that replace both.
    """
    fields: list[Any] = []
    texts = config.help_texts()
    for name, option in config.options().items():
        if name in without:
            continue
        required = option.default is dataclasses.MISSING
        default = (own or {}).get(name, None if required else option.default)
        kinds = "".join(
            f"; {suited[name]} for a {kind}"
            for kind, suited in (defaults or {}).items()
            if suited.get(name, default) != default
        )
        hint = _as_typed(option)
        shown = tyro.conf.arg(
            help=("Turn off: " if default is True else "")
            + " ".join(texts[name].split())
            + (" May change over the run: start:end." if option.scheduled else ""),
            help_behavior_hint=f"(default: {default}{kinds})",
        )
        annotated: Any = Annotated[hint | None if required else hint, shown]
        fields.append((name, annotated, dataclasses.field(default=default)))
    form = dataclasses.make_dataclass(f"{title}Arguments", fields)
    form.__doc__ = config.__doc__
    return form


def _as_typed(option: Option) -> Any:  # noqa: ANN401
    """Return the type that is typed for an option: a schedule is a text, a sequence several words."""
    if option.scheduled:
        return float | str | None if option.optional else float | str
    hint = without_rules(option.type)
    if option.each:  # one value is typed
        hint = Union[tuple(kind for kind in get_args(hint) if get_origin(kind) is not Sequence)]  # noqa: UP007
    return tuple[int, ...] | None if option.name == "hidden" else hint


def described(published: Published) -> str:
    """Return what a published objective is: its paper, the agent and its options."""
    options = ", ".join(f"{name}={value}" for name, value in published.arguments.items())
    return f"{published.paper}: {published.agent.name} with {options}."


def summary(thing: object) -> str:
    """Return the first sentence of a docstring."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())
