"""Tuned settings: every one is complete, and the command line gives precedence to what is typed."""

import pytest

from pg_agents import AGENTS
from pg_agents.cli.environments import parse_arguments
from pg_agents.cli.parsing import parse
from pg_agents.spaces.wrappers import wrappers_of
from pg_agents.training import tuned
from pg_agents.training.tuned import TUNED, Tuned, tuned_settings


@pytest.mark.parametrize(("agent", "env"), TUNED)
def test_settings_name_options_that_the_agent_has_and_wrappers_that_there_are(agent, env):
    settings = tuned_settings(agent, env)
    assert set(settings.arguments) - {"hidden"} <= set(AGENTS[agent].argument_names()) | set(NETWORK)
    wrappers_of(settings.wrappers)


NETWORK = ("normalize_observations", "initial_log_std")


def test_what_is_not_tuned_lists_what_is():
    with pytest.raises(ValueError, match=r"^tuned: there are no tuned settings for ppo in X-v0; .*ALE/Pong-v5.*leave"):
        tuned_settings("ppo", "X-v0")


@pytest.fixture
def wrapped(monkeypatch):
    settings = Tuned(3, 500, {"num_steps": 8}, {"size": 5, "name": "a b", "deep": (1, "x")}, ("FlattenObservation",))
    monkeypatch.setitem(tuned.TUNED, ("ppo", "X-v0"), settings)


def test_tuned_settings_carry_what_the_environment_needs(wrapped):
    run = parse(["train", "ppo", "X-v0", "--tuned"]).run
    assert (run.num_envs, run.total_steps, run.wrapper) == (3, 500, ("FlattenObservation",))
    assert parse_arguments(run.env_arg) == {"size": 5, "name": "a b", "deep": (1, "x")}


def test_typed_arguments_and_wrappers_of_the_environment_take_precedence(wrapped):
    typed = [
        "--env-arg",
        "size=6",
        "--env-arg",
        "more=1",
        "--wrapper",
        "ClipReward",
        "--wrapper",
        "TimeAwareObservation",
    ]
    run = parse(["train", "ppo", "X-v0", "--tuned", *typed, "--num-envs", "2"]).run
    assert (run.num_envs, run.total_steps) == (2, 500)
    assert parse_arguments(run.env_arg) == {"size": 6, "name": "a b", "deep": (1, "x"), "more": 1}
    assert run.wrapper == ("ClipReward", "TimeAwareObservation")
