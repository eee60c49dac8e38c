"""Runs in environments that were objects in Python: the shell plays no other under their name."""

import json

import gymnasium as gym
import numpy as np
import pytest
from pg_envs import TokenVectorEnv

import pg_agents as pg
from pg_agents.cli import main


class Mine(gym.Env):
    """A bandit of one's own, with the observations and actions of a registered environment."""

    observation_space, action_space = gym.spaces.Discrete(1), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return 0, {}

    def step(self, action):
        return 0, float(action), True, False, {}


def train(env, folder):
    agent = pg.Reinforce.for_env(env)
    pg.train(agent, env, total_steps=4, run_dir=folder, progress=False)
    return json.loads((folder / "config.json").read_text())


def told(capsys, *typed):
    code = main(list(map(str, typed)))
    return code, capsys.readouterr().err


def test_another_class_under_a_registered_name_is_refused(tmp_path, capsys):
    env = Mine()
    env.spec = gym.spec("pg/TwoArmedBandit-v0")  # as a class that was made of it would have
    config = train(env, tmp_path / "run")
    assert config["env"] == "pg/TwoArmedBandit-v0" and config["env_object"]["class"].endswith(":Mine")
    for command in ("evaluate", "resume"):
        code, line = told(capsys, command, tmp_path / "run")
        assert code == 2 and "was an object in Python" in line and "'pg/TwoArmedBandit-v0' makes another one" in line
        assert "pg_agents.evaluate(pg_agents.load(" in line


def test_a_class_without_an_id_is_refused(tmp_path, capsys):
    train(Mine(), tmp_path / "run")
    code, line = told(capsys, "evaluate", tmp_path / "run")
    assert code == 2 and line.startswith("error: PATH: the environment of") and "'Mine' is no registered id" in line


def test_tokens_that_were_made_in_python_are_refused(tmp_path, capsys):
    env = TokenVectorEnv(
        num_envs=2, vocabulary=4, eos=1, max_new_tokens=2, prompts=[[2]], score=lambda prompt, completion: 0.0
    )
    train(env, tmp_path / "run")
    for command in ("evaluate", "resume"):
        code, line = told(capsys, command, tmp_path / "run")
        assert code == 2 and "'TokenVectorEnv' is no registered id" in line and "TokenVectorEnv'" in line


@pytest.mark.parametrize(
    "make",
    [
        lambda: gym.make("CartPole-v1"),
        lambda: gym.make_vec("CartPole-v1", num_envs=2),
        lambda: gym.make_vec("CartPole-v1", num_envs=2, vectorization_mode="sync"),
        lambda: gym.vector.SyncVectorEnv([lambda: gym.make("CartPole-v1")] * 2),
    ],
)
def test_an_id_that_makes_the_same_class_is_played(tmp_path, capsys, make):
    train(make(), tmp_path / "run")
    assert told(capsys, "evaluate", tmp_path / "run", "--episodes", 2) == (0, "")


def test_wrappers_of_ones_own_are_named(tmp_path, capsys):
    def make():
        return gym.wrappers.TransformReward(gym.make("CartPole-v1"), lambda reward: 100 * reward)

    train(make(), tmp_path / "run")
    code, line = told(capsys, "evaluate", tmp_path / "run", "--episodes", 2)
    assert code == 0 and "made of the id 'CartPole-v1', without TransformReward around it" in line


def test_another_run_has_to_name_its_environment(tmp_path, capsys):
    train(Mine(), tmp_path / "run")
    file = tmp_path / "run" / "config.json"
    code, line = told(capsys, "train", "reinforce", "--config", file, "--run-dir", tmp_path / "new")
    assert code == 2 and line.startswith("error: ENV: it is missing")


def test_runs_of_ids_have_no_such_entry(tmp_path):
    agent = pg.Reinforce.for_env("CartPole-v1")
    pg.train(agent, "CartPole-v1", total_steps=4, run_dir=tmp_path / "run", progress=False)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert "env_object" not in config and config["env_args"] == {} and np.isscalar(config["num_envs"])
