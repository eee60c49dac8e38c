"""Every name of ours that stands beside another library's exists."""

import dataclasses
import inspect
import re
from functools import cache

import pg_envs
import pytest
from support.names import ROOT

import pg_agents as pg
from pg_agents.cli.options import COMMANDS
from pg_agents.elsewhere import METHODS, option_for
from pg_agents.policies.make_networks import make_networks

PAGE = ROOT / "docs/coming_from.md"
CODE = re.compile(r"`([^`]+)`")
PARTS = {"agent": pg.Agent, "run": pg.Run, "summary": pg.Summary, "pg": pg, "pg_envs": pg_envs}
FILES = ("run_dir/best", 'info["action_mask"]', "gymnasium.make_vec")


def rows():
    """Yield (there, here, what differs) of every row of the page's tables."""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        if line.startswith("|") and len(cells) == 3 and cells[0] != "there" and not set(cells[0]) <= {"-"}:
            yield cells


@cache
def options():
    """Return the names of all options of agents, networks, language models, tasks, and arguments of functions."""
    forms = [agent.config_class for agent in pg.AGENTS.values()] + [pg.NetworkConfig, pg.LanguageConfig]
    names = {name for form in forms for name in form.options()}
    called = (pg.train, pg.evaluate, pg.PPO.for_env, pg_envs.text_task, pg_envs.TokenVectorEnv, make_networks)
    return names | {name for one in called for name in inspect.signature(one).parameters} | {"encoder"}


@cache
def flags():
    typed = {field.name for form in COMMANDS.values() for field in dataclasses.fields(form)} | options() | {"async"}
    return {f"--{name.replace('_', '-')}" for name in typed}


def exists(name):
    """Return whether a name of ours does: an attribute, a command, a flag, a tag of a metric, or an option."""
    if name in FILES:
        return True
    if name.startswith("pg-agents "):
        return name.split()[1] in COMMANDS
    if name.startswith("--"):
        return name.split()[0] in flags()
    if re.fullmatch(r"[a-z]+/\w+", name):
        return f"`{name}`" in (ROOT / "docs/metrics.md").read_text()
    found = re.fullmatch(r"([a-z_]+(?:\.\w+)*)(?:=.*)?", name)
    first, *others = found[1].split(".") if found else [""]
    if not others:
        return first in options()
    thing = PARTS.get(first) or (
        __import__(found[1].rpartition(".")[0], fromlist=["x"]) if first == "pg_agents" else None
    )
    others = others[-1:] if first == "pg_agents" else others
    for other in others:
        thing = getattr(thing, other, None) or getattr(thing, "__annotations__", {}).get(other)
    return thing is not None


def test_names_of_ours_exist():
    names = {name for _, here, _ in rows() for name in CODE.findall(here)}
    assert len(names) > 80
    assert sorted(name for name in names if not exists(name)) == []


@pytest.mark.parametrize(
    "name", ["pg.PPOO", "--gamma", "train/approx_kl", "gamma", "agent.predict", "pg-agents run", "gamma=1"]
)
def test_names_of_others_do_not(name):
    assert not exists(name)


def test_what_errors_answer_stands_here():
    options, compared = {*pg.PPO.argument_names(), *pg.GRPO.argument_names()}, 0
    for there, here, _ in rows():
        ours = options.intersection(CODE.findall(here))
        if answers := {option_for(old, options) for old in CODE.findall(there)} - {None} if ours else set():
            compared += 1
            assert answers & ours, (there, answers)
    assert compared > 8
    assert all(f"agent.{name}" in PAGE.read_text() for name in METHODS)
