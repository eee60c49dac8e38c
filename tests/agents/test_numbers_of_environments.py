"""Defaults that follow from the number of environments: they are named as such, and `train` says if it has another."""

import warnings

import pytest

import pg_agents as pg

ENV = "CartPole-v1"


def train(agent, num_envs):
    pg.train(agent, ENV, num_envs=num_envs, total_steps=1, progress=False)


def test_a_minibatch_that_was_not_given_is_called_the_default():
    words = "16 of each of 2 environments, got 64, its default; give minibatch_size=32 or less"
    with pytest.raises(ValueError, match=f"^minibatch_size must not be above the steps of a rollout, {words}"):
        pg.PPO.for_env(ENV, num_envs=2, num_steps=16)
    with pytest.raises(ValueError, match="got 64; give minibatch_size=32 or less, or more num_steps"):
        pg.PPO.for_env(ENV, num_envs=2, num_steps=16, minibatch_size=64)


def test_train_warns_once_of_a_default_for_another_number_of_environments():
    agent = pg.PPO.for_env(ENV, hidden=(4,))
    words = "num_steps=256 is the default for the 8 environments .* with 2, .* from 512 steps instead of 2,048"
    with pytest.warns(UserWarning, match=words):
        train(agent, 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="num_envs")
        train(agent, 2)


@pytest.mark.parametrize(
    "how",
    [
        {"num_envs": 2},
        {"num_steps": 256},
        {"config": pg.PPOConfig(num_steps=256)},
        {"num_envs": 2, "num_learners": 2},
    ],
    ids=str,
)
def test_it_does_not_where_both_are_the_same_or_it_was_given(how):
    agent = pg.PPO.for_env(ENV, hidden=(4,), **how)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="num_envs")
        train(agent, 2)


def test_other_defaults_are_not_mentioned():
    agent = pg.A2C.for_env(ENV, hidden=(4,))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="num_envs")
        train(agent, 2)


def test_a_runs_folder_is_loaded_as_its_agent(tmp_path):
    agent = pg.Reinforce.for_env(ENV, num_envs=2, hidden=(4,))
    run = tmp_path / "run"
    pg.train(agent, ENV, num_envs=2, total_steps=1, run_dir=run, progress=False)
    for loaded in (pg.load(run), pg.Reinforce.load(run)):
        assert loaded.state_dict().keys() == agent.state_dict().keys()
        assert all((value == agent.state_dict()[name]).all() for name, value in loaded.state_dict().items())
    (run / "agent").rename(run / "best")
    with pytest.raises(pg.SavedAgentError, match="is a run's folder, which holds no agent at its end; load .*best$"):
        pg.load(run)
    (run / "best").rename(tmp_path / "elsewhere")
    with pytest.raises(pg.SavedAgentError, match="checkpoints, from which resume goes on"):
        pg.load(run)
