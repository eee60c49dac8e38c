"""Environments by their ids: made as the command line makes them, closed again, refused in one sentence."""

import gymnasium as gym
import pg_envs  # noqa: F401 - registers the ids
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from support.tiny_envs import OneStep

from pg_agents.errors import UserError
from pg_agents.spaces.environments import make_env, open_env


def test_an_environment_that_is_given_is_the_one_that_is_used_and_stays_open():
    env = gym.make("CartPole-v1")
    with open_env(env) as opened:
        assert opened is env
    env.reset(seed=0)
    assert not hasattr(env, "closed")


@pytest.mark.parametrize(("given", "count"), [({}, 8), ({"num_envs": 3}, 3)])
def test_an_id_is_made_and_closed_again(given, count):
    with open_env("pg/Chain-v0", **given) as env:
        assert env.num_envs == count and env.unwrapped.spec.id == "pg/Chain-v0" and not env.closed
    assert env.closed
    with pytest.raises(ZeroDivisionError), open_env("pg/Chain-v0") as env:
        raise ZeroDivisionError
    assert env.closed


def test_its_constructors_arguments_and_its_form_are_those_that_are_asked_for():
    with open_env("pg/GridWorld-v0", 2, {"slip": 0.25}) as env:
        assert env.num_envs == 2 and env.unwrapped.mdp.transitions[0, 0].max() == 0.875
    with open_env("CartPole-v1", 2) as native, open_env("CartPole-v1", 2, a_seed_each=True) as sync:
        assert not isinstance(native.unwrapped, SyncVectorEnv) and isinstance(sync.unwrapped, SyncVectorEnv)


def test_workers_that_are_gone_are_not_waited_for():
    with open_env("CartPole-v1", 2, {"vectorization_mode": "async"}) as env:
        assert isinstance(env.unwrapped, AsyncVectorEnv)
        env.processes[0].kill()
        env.processes[0].join()
    assert env.closed and not any(process.is_alive() for process in env.processes)


@pytest.mark.parametrize(
    ("env_id", "arguments", "message"),
    [
        ("CartPoole-v1", {}, r"^eval_env: there is no environment 'CartPoole-v1'; did you mean CartPole-v1"),
        ("GridWorld-v0", {}, r"^eval_env: there is no environment 'GridWorld-v0'; did you mean pg/GridWorld-v0"),
        ("no_such_module:X-v0", {}, r"^eval_env: 'no_such_module:X-v0': there is no module 'no_such_module'"),
        ("support.broken_envs:NeedsABox-v0", {}, r"^eval_env: .* pip install \"pg-agents\[box2d\]\""),
        ("pg/BernoulliBandit-v0", {"probabilities": (0.5, 2)}, r"^eval_env: .* made with probabilities=\(0.5, 2\): "),
        ("pg/Chain-v0", {"sise": 3}, r"^env_args: pg/Chain-v0 cannot be made with sise=3: .*unexpected"),
    ],
)
def test_what_cannot_be_made_is_one_sentence_that_names_the_argument(env_id, arguments, message):
    with pytest.raises(UserError, match=message), open_env(env_id, 2, arguments, argument="eval_env"):
        pass


@pytest.mark.parametrize("argument", [{"num_envs": 8}, {"env_args": {"length": 3}}])
def test_what_is_for_ids_is_refused_beside_an_environment(argument):
    name = next(iter(argument))
    message = rf"^{name}=.*: env is made already; leave it out, or give the id"
    with pytest.raises(ValueError, match=message), open_env(OneStep(), **argument):
        pass


def test_a_number_of_environments_below_one_is_refused():
    with pytest.raises(ValueError, match="num_envs must be a whole number, 1 or above, got 0"):
        make_env("CartPole-v1", 0, {})


def test_mistakes_in_an_environments_own_code_keep_their_traceback(monkeypatch):
    class Mistaken(OneStep):
        def __init__(self):
            len(None)

    monkeypatch.setitem(gym.registry, "Mistaken-v0", gym.envs.registration.EnvSpec("Mistaken-v0", entry_point=Mistaken))
    with pytest.raises(TypeError, match="has no len"):
        make_env("Mistaken-v0", 1, {})
