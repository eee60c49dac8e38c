"""Runs that stop early, and those that do not begin: what they say and what they leave behind."""

import json

import gymnasium as gym
import pytest
import torch
from support.tiny_envs import Faulty, OneStep

import pg_agents as pg
from pg_agents import FaultyEnvironmentError


def parameters(agent):
    return torch.cat([parameter.detach().flatten() for parameter in agent.parameters()])


@pytest.mark.parametrize("fault", ["nan reward", "nan observation", "long reward"])
@pytest.mark.parametrize("name", ["actor-critic", "reinforce"])
def test_a_failing_environment_leaves_the_agent_as_after_its_last_update(tmp_path, fault, name):
    env = Faulty(fault, at=20)
    agent = pg.AGENTS[name].for_env(env)
    after = []
    learn = agent.update
    step = {"actor-critic": 26, "reinforce": 20}[name]  # the former counts 6 more, on which the environment was reset

    def update(rollout):
        metrics = learn(rollout)
        after.append(parameters(agent).clone())
        return metrics

    agent.update = update
    with pytest.raises(FaultyEnvironmentError, match=rf"Faulty .* step {step}\b"):
        pg.train(agent, env, total_steps=1000, run_dir=tmp_path / "r", progress=False)
    assert len(after) == {"actor-critic": 19, "reinforce": 6}[name]  # transitions, or whole episodes, before it
    assert torch.equal(parameters(agent), after[-1])
    assert torch.equal(parameters(pg.load(tmp_path / "r" / "agent")), after[-1])
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["total_steps"] == {
        "actor-critic": 19, "reinforce": 18,
    }[name]  # fmt: skip


def test_an_interrupt_saves_the_agent(tmp_path):
    env = gym.make_vec("pg/TwoArmedBandit-v0", 4)
    agent = pg.Reinforce.for_env(env)

    def interrupt(run):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pg.train(agent, env, total_steps=100, log_every=8, run_dir=tmp_path / "r", progress=False, probes=[interrupt])
    assert json.loads((tmp_path / "r" / "summary.json").read_text())["total_steps"] == 8
    assert torch.equal(parameters(pg.load(tmp_path / "r" / "agent")), parameters(agent))


def test_an_environment_that_fails_at_its_first_reset_leaves_no_folder(tmp_path):
    env = Faulty("nan at reset", at=0)
    with pytest.raises(FaultyEnvironmentError, match="reset|step 0"):
        pg.train(pg.ActorCritic.for_env(env), env, total_steps=10, run_dir=tmp_path / "r", progress=False)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"total_steps": 0}, "total_steps must be a whole number, 1 or above, got 0"),
        ({"total_steps": 1.5}, "total_steps must be a whole number, 1 or above, got 1.5"),
        ({"total_steps": True}, "total_steps must be a whole number, 1 or above, got True"),
        ({"seed": -1}, "seed must be a whole number, 0 or above, got -1"),
        ({"log_every": 0}, "log_every must be a whole number, 1 or above, got 0"),
    ],
)
def test_arguments_out_of_range_are_refused_before_anything_is_written(tmp_path, arguments, message):
    env = OneStep()
    with pytest.raises(ValueError, match=message):
        pg.train(pg.Reinforce.for_env(env), env, **{"total_steps": 9, "run_dir": tmp_path / "r", **arguments})
    assert not (tmp_path / "r").exists()


def test_an_agent_is_not_trained_in_other_spaces_than_its_own():
    with pytest.raises(
        ValueError, match=r"env: its observation space is Discrete\(5\), the agent was made for.*\(12\)"
    ):
        pg.train(pg.Reinforce.for_env(gym.make("pg/GridWorld-v0")), gym.make("pg/Chain-v0"), total_steps=9)
