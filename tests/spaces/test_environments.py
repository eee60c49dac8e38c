"""Environments by their ids: made as the command line makes them, closed again, refused in one sentence."""

import json

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv
from support.tiny_envs import OneStep

import pg_agents
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.errors import UserError
from pg_agents.spaces.environments import make_env, open_env
from pg_agents.spaces.wrappers import Wrapper

STACK = "FrameStackObservation:stack_size=3"


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


@pytest.mark.parametrize("mode", [{}, {"vectorization_mode": "sync"}, {"vectorization_mode": "async"}])
def test_wrappers_are_applied_in_their_order_to_each_environment(mode):
    """CartPole has a vector form of its own, which no wrapper fits."""
    wrappers = [STACK, "FlattenObservation", "ClipReward:max_reward=0.25"]
    with open_env("CartPole-v1", 2, mode, wrappers=wrappers) as env:
        assert env.single_observation_space.shape == (12,)
        assert isinstance(env.unwrapped, AsyncVectorEnv if mode.get("vectorization_mode") == "async" else SyncVectorEnv)
        first, _ = env.reset(seed=[1, 2])
        seen, rewards, *_ = env.step(np.array([0, 1]))
        assert (seen[:, :4] == first[:, 4:8]).all() and (rewards == 0.25).all()
    assert env.closed


@pytest.mark.slow
def test_workers_import_the_module_of_an_id_where_a_process_begins_anew():
    spawned = {"vectorization_mode": "async", "vector_kwargs": {"context": "spawn"}}
    with open_env("support.broken_envs:Broken-v0", 2, spawned, wrappers=[STACK]) as env:
        assert env.reset(seed=[1, 2])[0].shape[:2] == (2, 3)


def test_an_agent_is_made_trained_and_evaluated_in_wrapped_environments_by_id(tmp_path):
    made = {"num_envs": 2, "wrappers": [STACK, Wrapper("FlattenObservation")]}
    agent = pg_agents.A2C.for_env("CartPole-v1", **made)
    assert agent.spaces[0].shape == (12,)
    run_dir = tmp_path / "r"
    pg_agents.train(
        agent, "CartPole-v1", **made, total_steps=64, progress=False, eval_env="CartPole-v1", eval_episodes=1,
        run_dir=run_dir,
    )  # fmt: skip
    found = json.loads((run_dir / "config.json").read_text())["wrappers"]
    assert [Wrapper(**one) for one in found] == [Wrapper.parse(STACK), Wrapper("FlattenObservation")]
    assert pg_agents.evaluate(agent, "CartPole-v1", episodes=2, **made).episodes == 2
    for collector in (
        pg_agents.collect_steps("CartPole-v1", agent.policy, 3, **made),
        pg_agents.collect_episodes("CartPole-v1", agent.policy, **made),
    ):
        assert next(collector).observations.shape[1:] == (2, 12)


# -- games of Atari in ale_py's vector form ----------------------------------------------------------------------------
def played(seed, count=2, steps=40, **how):
    pytest.importorskip("ale_py")
    with open_env("ALE/Breakout-v5", count, how) as env:
        rng, adapter = np.random.default_rng(0), EnvAdapter(env, seed)
        seen = [adapter.observation]  # kept as it is: a buffer that is used again would change it
        copies = [adapter.observation.copy()]
        for _ in range(steps):
            adapter.step(rng.integers(4, size=count))
            seen.append(adapter.observation)
            copies.append(adapter.observation.copy())
    assert all((one == copy).all() for one, copy in zip(seen, copies, strict=True))
    return np.stack(copies)


def test_games_of_one_seed_are_the_same_and_differ_between_rows_and_seeds():
    first = played(3)
    assert first.shape == (41, 2, 4, 84, 84) and first.dtype == np.uint8
    assert (played(3) == first).all()
    assert (played(4) != first).any() and (first[:, 0] != first[:, 1]).any()


def test_groups_that_begin_alike_are_not_made_of_other_observations_than_evaluations_see(monkeypatch):
    pytest.importorskip("ale_py")
    with open_env("ALE/Pong-v5", 2, a_seed_each=True) as env:
        first = env.reset(seed=[1, 1])[0]
        assert first.shape[1:] == (4, 84, 84) and (first[0] == first[1]).all()
    monkeypatch.setattr("pg_agents.spaces.environments.one_by_one", lambda env_id, given, wrappers: (given, wrappers))
    with pytest.raises(UserError, match="^env: ALE/Pong-v5 takes one seed for all .*vectorization_mode=sync"):
        make_env("ALE/Pong-v5", 2, {}, a_seed_each=True)


def test_wrappers_among_the_constructors_arguments_are_refused():
    with pytest.raises(UserError, match=r"^env_args: wrappers=\[3\] is no argument .* wrappers=\[…\] \(--wrapper\)"):
        make_env("CartPole-v1", 2, {"wrappers": [3]}, wrappers=["FlattenObservation"])


def test_the_action_after_a_games_end_takes_no_decision():
    """Mode NEXT_STEP: the row is reset instead, without a reward."""
    pytest.importorskip("ale_py")
    ends = 0
    with open_env("ALE/Breakout-v5", 2, {"episodic_life": True, "reward_clipping": False}) as env:
        rng, adapter = np.random.default_rng(0), EnvAdapter(env, 0)
        for _ in range(150):
            ended = ~adapter.valid
            step = adapter.step(rng.integers(4, size=2))
            assert not step.valid[ended].any() and not step.done[ended].any()
            assert (adapter.episode_starts == ended).all()
            ends += step.done.sum()
    assert ends >= 4


def test_workers_that_are_gone_are_not_waited_for():
    with open_env("CartPole-v1", 2, {"vectorization_mode": "async"}) as env:
        assert isinstance(env.unwrapped, AsyncVectorEnv)
        env.processes[0].kill()
        env.processes[0].join(60)
    assert env.closed and not any(process.is_alive() for process in env.processes)


@pytest.mark.parametrize(
    ("env_id", "arguments", "message"),
    [
        ("CartPoole-v1", {}, r"^eval_env: there is no environment 'CartPoole-v1'; did you mean CartPole-v1"),
        ("GridWorld-v0", {}, r"^eval_env: there is no environment 'GridWorld-v0'; did you mean pg/GridWorld-v0"),
        ("no_such_module:X-v0", {}, r"^eval_env: 'no_such_module:X-v0': there is no module 'no_such_module'"),
        ("support.broken_envs:NeedsABox-v0", {}, r"^eval_env: .* pip install .*\[box2d\]\""),
        ("pg/BernoulliBandit-v0", {"probabilities": (0.5, 2)}, r"^eval_env: .* made with probabilities=\(0.5, 2\): "),
        ("pg/Chain-v0", {"sise": 3}, r"^env_args: pg/Chain-v0 cannot be made with sise=3: .*unexpected"),
    ],
)
def test_what_cannot_be_made_is_one_sentence_that_names_the_argument(env_id, arguments, message):
    with pytest.raises(UserError, match=message), open_env(env_id, 2, arguments, argument="eval_env"):
        pass


@pytest.mark.parametrize("argument", [{"num_envs": 8}, {"env_args": {"length": 3}}, {"wrappers": ["ClipReward"]}])
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
