"""Every name of ours that stands beside another library's exists."""

import dataclasses
import inspect
import re
from functools import cache

import gymnasium as gym
import pg_envs
import pytest
from support.names import ROOT

import pg_agents as pg
from pg_agents.cli.options import COMMANDS
from pg_agents.elsewhere import _SAID, FOR_ENV, FUNCTIONS, METHODS, POLICIES, RUNS, option_for
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
    there = " ".join(cells[0] for cells in rows())
    missing = [name for name in (*FUNCTIONS, *POLICIES[:3], *_SAID, "n_envs", "verbose") if name not in there]
    assert missing == []


def test_arguments_that_belong_elsewhere_are_those_of_the_functions():
    assert set(RUNS) < set(inspect.signature(pg.train).parameters) and not set(RUNS) & set(pg.PPO.argument_names())
    assert set(FOR_ENV) < set(inspect.signature(pg.PPO.for_env).parameters)
    ours = set(re.findall(r"pg_agents\.(\w+)", " ".join([*FUNCTIONS.values(), *METHODS.values()])))
    assert ours == {"train", "evaluate"}


AGENT = pg.Reinforce.for_env("CartPole-v1")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: pg.PPO.for_env("CartPole-v1", n_envs=8), "n_envs: PPO .* it is num_envs=… of for_env"),
        (lambda: pg.PPO.for_env("CartPole-v1", num_env=8), "num_env: PPO .* it is num_envs=… of for_env"),
        (lambda: pg.PPO.for_env("CartPole-v1", verbose=1), "verbose: PPO .* it is progress=… of pg_agents.train"),
        (lambda: pg.PPO.for_env("CartPole-v1", device="cuda"), r'device: .* agent.to\("cuda"\)'),
        (lambda: pg.train(AGENT, "CartPole-v1", total_steps=1, cuda=True), r'cuda: train .* agent.to\("cuda"\)'),
        (
            lambda: pg.PPO.for_env("CartPole-v1", tensorboard_log="x"),
            "tensorboard_log: .* run_dir=… of pg_agents",
        ),
        (lambda: pg.PPO.for_env("CartPole-v1", total_steps=9), "total_steps: .* total_steps=… of pg_agents.train"),
        (lambda: pg.PPO.for_env("CartPole-v1", policy_kwargs={}), "policy_kwargs: .* hidden .net_arch"),
        (lambda: pg.train(AGENT, "CartPole-v1", total_steps=1, gamma=1), r"gamma: train .* for_env\(env, discount=…\)"),
        (lambda: pg.evaluate(AGENT, "CartPole-v1", n_envs=1), "n_envs: evaluate .* did you mean num_envs"),
        (lambda: AGENT.act(None, deterministic=True), "deterministic: act .* did you mean greedy"),
        (lambda: AGENT.act(None, state=None), "state: act .* it takes observation, memory"),
        (lambda: pg.PPO.for_env("MlpPolicy", "CartPole-v1"), "for_env takes no 'MlpPolicy': .* hidden="),
        (lambda: pg.PPO("MlpPolicy", "CartPole-v1"), r"PPO takes no 'MlpPolicy': write PPO.for_env\(env\)"),
        (lambda: pg.PPO("MlpPolicy", env="CartPole-v1"), r"PPO takes no 'MlpPolicy': write PPO.for_env\(env\)"),
        (lambda: pg.PPO(env="CartPole-v1"), r"PPO takes no env: write PPO.for_env\(env\)"),
        (lambda: pg.PPO.for_env("CartPole-v1", policy="MlpPolicy"), "PPO takes no 'MlpPolicy': leave it out"),
        (lambda: pg.train(AGENT, "CartPole-v1", 100), "train takes agent, env by position and all else by name"),
        (lambda: pg.PPO.for_env(gym.Env), "got the class Env; make one: Env"),
        (lambda: pg.train(AGENT, gym.Env, total_steps=1), "got the class Env; make one: Env"),
        (lambda: pg.PPO.for_env(lambda: gym.make("CartPole-v1")), "got a function; give what it returns"),
        (lambda: pg.PPO.for_env([1]), "got list; gymnasium.vector.SyncVectorEnv"),
    ],
)
def test_errors_in_python_answer_with_what_is_meant(call, words):
    with pytest.raises(TypeError, match=words):
        call()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("SAC", "no SAC: it learns values off-policy.*Stable-Baselines3"),
        ("DQN", "no DQN: it learns values off-policy.*CleanRL"),
        ("TD3", "no TD3: it learns values off-policy"),
        ("PPO2", "here it is PPO$"),
        ("VPG", "here it is ReinforceBaseline$"),
        ("make_vec_env", "gymnasium.make_vec"),
        ("make_env", r"gymnasium.make\("),
        ("evaluate_policy", "pg_agents.evaluate"),
    ],
)
def test_names_of_the_package_that_others_have_are_answered(name, words):
    with pytest.raises(AttributeError, match=words):
        getattr(pg, name)
    assert not hasattr(pg, name)


@pytest.mark.parametrize("name", METHODS)
def test_methods_that_others_have_are_answered(name):
    with pytest.raises(AttributeError, match=f"Reinforce has no {name}: write "):
        getattr(AGENT, name)


def test_a_schedule_is_no_function():
    with pytest.raises(ValueError, match=r'learning_rate must be .* got a function; .* learning_rate="3e-4:0"'):
        pg.PPO.for_env("CartPole-v1", learning_rate=lambda progress: 3e-4 * progress)
    with pytest.raises(ValueError, match="'MlpPolicy'; networks follow from an environment's spaces"):
        pg.PPO.for_env("MlpPolicy")
