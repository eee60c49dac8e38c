"""The search space: it comes from the options' types, holds known settings, and only what agents can be made of."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated

import optuna
import pytest
from support.bugs import Bug, seeded, with_result

import pg_agents as pg
from pg_agents.agents.common.config import AdvantageConfig
from pg_agents.policies import NetworkConfig
from pg_agents.search import Among, Around
from pg_agents.training.tuned import TUNED as SHIPPED
from pg_agents.tuning import space
from pg_agents.tuning.space import Space, make_space, marks_of
from pg_agents.tuning.task import Task

optuna.logging.set_verbosity(optuna.logging.ERROR)


def task_of(agent, env, fixed=None, num_envs=None, total_steps=20_000):
    return Task(agent, env, (100, 101), total_steps, fixed or {}, num_envs, {}, {}, ())


def space_of(agent, env, **how):
    task = task_of(agent, env, **how)
    known = {"defaults": task.settings(task.num_envs or 8, task.fixed)}
    if (agent, env) in SHIPPED:
        shipped = SHIPPED[agent, env]
        known["tuned"] = task.settings(task.num_envs or shipped.num_envs, shipped.arguments | task.fixed)
    return make_space(task, known)


def names(found):
    return {one.name for one in found.dimensions}


def draws(found, count):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(0))
    return [found.settings(study.ask(), "search") for _ in range(count)]


def check_draws(agent, env, count):
    found = space_of(agent, env)
    for settings in draws(found, count):
        with ExitStack() as opened:
            made = found.task.kind.for_env(found.task.open(opened, settings.num_envs, 1), **settings.arguments)
        assert {name: made.arguments[name] for name in settings.arguments if name in made.arguments} == {
            name: value for name, value in settings.arguments.items() if name in made.arguments
        }


ENVS = ("CartPole-v1", "Pendulum-v1", "pg/Chain-v0", "pg/Copy-v0")
CASES = [(agent, env) for agent in pg.AGENTS for env in ENVS if agent != "average-reward" or env in ENVS[::2]]


@pytest.mark.parametrize(("agent", "env"), CASES)
def test_every_draw_makes_an_agent(agent, env):
    check_draws(agent, env, 4)


@pytest.mark.slow
@pytest.mark.parametrize("agent", pg.AGENTS)
def test_two_hundred_draws_make_agents(agent):
    check_draws(agent, "CartPole-v1", 200)


@pytest.mark.parametrize(("agent", "env"), [("ppo", "CartPole-v1"), ("a2c", "pg/Catch-v0"), ("ppo", "pg/Reverse-v0")])
def test_the_space_holds_the_known_settings(agent, env):
    found = space_of(agent, env)
    for origin, settings in found.known.items():
        drawn = found.settings(optuna.trial.FixedTrial(found.parameters[origin]), "search")
        with ExitStack() as opened:
            opened_env = found.task.open(opened, settings.num_envs, 1)
            theirs, ours = (found.task.kind.for_env(opened_env, **one.arguments) for one in (settings, drawn))
        assert drawn.num_envs == settings.num_envs
        assert all(ours.arguments[name] == theirs.arguments[name] for name in drawn.arguments if name in ours.arguments)
        assert found.settings(optuna.trial.FixedTrial(found.parameters[origin]), origin) == settings


def test_a_subclass_keeps_where_its_options_are_looked_for():
    marks = marks_of(pg.PPOConfig)
    assert marks["gae_lambda"] == marks_of(AdvantageConfig)["gae_lambda"]
    assert isinstance(marks["learning_rate"], Around) and marks["epochs"] == Among(3, 4, 5, 10, 20)
    assert "kl_weight" not in marks and "adam_epsilon" not in marks
    assert set(marks_of(NetworkConfig)) == {"hidden", "initial_log_std", "normalize_observations"}


def test_the_nearest_class_says_where_an_option_is_looked_for():
    @dataclass(frozen=True, kw_only=True)
    class Narrow(pg.PPOConfig):
        gae_lambda: Annotated[float, Among(0.5)] = 0.5

    assert marks_of(Narrow) == marks_of(pg.PPOConfig) | {"gae_lambda": Among(0.5)}


def test_what_is_not_drawn_is_as_in_the_shipped_settings():
    task = task_of("ppo", "X-v0")
    shipped = task.settings(16, {"adam_epsilon": 1e-5, "clip": 0.1})
    found = Space(task, (), {"defaults": task.settings(8, {}), "tuned": shipped}, {})
    assert found.drawn({"clip": 0.3}) == task.settings(16, {"adam_epsilon": 1e-5, "clip": 0.3})
    assert Space(task, (), {"defaults": task.settings(8, {})}, {}).drawn({}) == task.settings(8, {})


def test_learning_rates_are_on_a_logarithmic_scale_around_what_suits_the_networks():
    for env, middle in (("pg/Chain-v0", 0.03), ("Acrobot-v1", 3e-4)):
        (rate,) = (one for one in space_of("ppo", env).dimensions if one.name == "learning_rate")
        assert rate.low == pytest.approx(middle / 30) and rate.high == pytest.approx(middle * 30)
    trial = optuna.create_study().ask()
    rate.suggested(trial)
    assert trial.distributions["learning_rate"].log


def test_networks_are_looked_for_where_that_changes_them():
    assert not names(space_of("ppo", "pg/Chain-v0")) & {"hidden", "initial_log_std", "normalize_observations"}
    assert names(space_of("ppo", "CartPole-v1")) >= {"hidden", "normalize_observations"}
    assert "initial_log_std" not in names(space_of("ppo", "CartPole-v1"))
    assert "initial_log_std" in names(space_of("ppo", "Pendulum-v1"))


def test_what_was_typed_is_not_looked_for():
    found = space_of("ppo", "CartPole-v1", fixed={"discount": 0.5, "hidden": (4,)}, num_envs=16)
    assert not names(found) & {"discount", "hidden", "num_envs"}
    for settings in [*draws(found, 5), *found.known.values()]:
        assert settings.num_envs == 16
        assert (settings.arguments["discount"], settings.arguments["hidden"]) == (0.5, (4,))


def test_shipped_settings_that_do_not_go_with_what_was_typed_are_left_out():
    with pytest.warns(UserWarning, match="the tuned settings do not go with what is given.*minibatch_size must not be"):
        found = space_of("ppo", "CartPole-v1", num_envs=3)
    assert set(found.known) == set(found.parameters) == {"defaults"}


def test_a_minibatch_is_at_most_a_rollout_and_a_run_has_updates():
    sizes = [(one.arguments["minibatch_size"], one.arguments["num_steps"] * one.num_envs) for one in
             draws(space_of("ppo", "Acrobot-v1", total_steps=4_000), 60)]  # fmt: skip
    assert all(minibatch <= rollout for minibatch, rollout in sizes) and any(part == whole for part, whole in sizes)
    (steps,) = (one for one in space_of("a2c", "Acrobot-v1", total_steps=2_000).dimensions if one.name == "num_steps")
    assert list(steps.choices) == [8, 16]
    assert "num_steps" not in names(space_of("ppo", "pg/Copy-v0"))  # whose rollouts are of whole texts


def test_numbers_stand_in_their_order_and_known_ones_among_them():
    (epochs,) = (one for one in space_of("ppo", "Acrobot-v1").dimensions if one.name == "epochs")
    assert list(epochs.choices) == sorted(epochs.choices)
    (envs,) = (one for one in space_of("ppo", "pg/Reverse-v0").dimensions if one.name == "num_envs")
    assert list(envs.choices) == [8, 16, 32, 64, 256]


def larger(settings):
    settings.arguments["minibatch_size"] = 10**6
    return settings


test_seeded_bugs = seeded(
    Bug(
        "minibatches that do not fit",
        space.Space.drawn,
        with_result(space.Space.drawn, larger),
        [test_a_minibatch_is_at_most_a_rollout_and_a_run_has_updates],
    ),
    Bug(
        "options of networks that change nothing",
        space._changes,
        lambda *_: True,
        [test_networks_are_looked_for_where_that_changes_them],
    ),
)
