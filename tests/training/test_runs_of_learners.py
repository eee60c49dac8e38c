"""Runs of several learners: evaluated alike, resumed by the command line, and named where one of them fails."""

import json
import shutil

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.spaces import environments
from pg_agents.training import evaluation
from pg_agents.training.loop import make_collector

SMALL = {"hidden": (8,), "num_envs": 4}


def agent_with(seeds, **more):
    return pg.A2C.for_env("CartPole-v1", seeds=seeds, **SMALL, **more)


def test_the_command_line_goes_on_with_a_run_of_learners(tmp_path):
    """Made from Gymnasium's id; what is recorded is the form that was used, and how many rows it has in all."""
    how = {"num_envs": 4, "progress": False, "checkpoint_every": 100, "eval_env": "CartPole-v1", "eval_episodes": 3}
    how |= {"eval_every": 400}
    whole, stopped = agent_with([5, 9]), agent_with([5, 9])
    pg.train(whole, "CartPole-v1", total_steps=2000, **how)
    pg.train(stopped, "CartPole-v1", total_steps=1000, run_dir=tmp_path / "run", **how)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["env"], config["num_envs"]) == ("pg/CartPole-v1", 8)
    assert main(["resume", str(tmp_path / "run"), "--total-steps", "1000", "--quiet"]) == 0  # of each
    again = pg.load(tmp_path / "run" / "agent")
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("episodes", [2, 5, 20, 33])
def test_learners_play_as_many_episodes_each(episodes):
    """One always takes the arm that pays nothing, the other the one that always pays 1."""
    args = {"probabilities": (0.0, 1.0)}
    agent = pg.Reinforce.for_env("pg/BernoulliBandit-v0", env_args=args, num_learners=2)
    agent.policy.logits.data[:] = torch.tensor([[[9.0, -9.0]], [[-9.0, 9.0]]])
    given = gym.make_vec("pg/BernoulliBandit-v0", 6, **args)
    for found in (
        pg.evaluate(agent, "pg/BernoulliBandit-v0", env_args=args, episodes=episodes),
        pg.evaluate(agent, given, episodes=episodes),
    ):
        assert found.episodes == len(found.returns) == 2 * -(-episodes // 2)
        assert found.mean_return == 0.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run of two learners."""
    place = tmp_path_factory.mktemp("learners") / "run"
    pg.train(agent_with([5, 9]), "CartPole-v1", num_envs=4, total_steps=2000, run_dir=place, progress=False)
    return place


def evaluated(path, capsys):
    assert main(["evaluate", str(path), "--episodes", "3", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("way", ["stacked", "processes"])
def test_the_command_line_evaluates_each_learner_of_a_folder(folder, tmp_path, capsys, way):
    """Each in the episodes that it would play as one; also where only their own folders have agents."""
    place = tmp_path / "run"
    shutil.copytree(folder, place)
    if way == "processes":
        shutil.rmtree(place / "agent")
    found = evaluated(place, capsys)
    each = found.pop("learners")
    for seed, one in zip((5, 9), each, strict=True):
        alone = evaluated(place / f"seed-{seed}", capsys)
        assert "learners" not in alone and one == {"seed": seed} | alone
    assert found["episodes"] == 6 and each[0]["mean_return"] != each[1]["mean_return"]
    assert found["mean_return"] == pytest.approx(sum(one["mean_return"] for one in each) / 2)
    assert main(["evaluate", str(place), "--episodes", "3"]) == 0
    said = capsys.readouterr().out
    assert "6 episodes, 3 of each learner\n" in said and f"seed-9   {each[1]['mean_return']:.4g} ± " in said


def test_a_video_is_of_one_learner(folder, capsys):
    assert main(["evaluate", str(folder), "--video"]) == 2
    assert f"holds 2 learners; record one of them, like that in {folder / 'seed-5'}" in capsys.readouterr().err


def test_the_command_line_goes_on_with_one_learner(folder, tmp_path, capsys):
    place = tmp_path / "run"
    shutil.copytree(folder, place)
    assert main(["resume", str(place / "seed-9"), "--total-steps", "1500"]) == 0
    assert "exactly: as with the others" in capsys.readouterr().out
    alone = pg.A2C.for_env("pg/CartPole-v1", seed=9, **SMALL)
    pg.train(alone, "pg/CartPole-v1", num_envs=4, seed=9, total_steps=1500, progress=False)
    again = pg.load(place / "seed-9" / "agent")
    for mine, other in zip(again.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)


def test_seeds_may_be_whatever_can_be_gone_through_once():
    assert [*agent_with(seed for seed in (5, 9)).seeds] == [5, 9] == [*agent_with(np.array([5, 9])).seeds]


def test_the_learner_whose_gradient_is_not_finite_is_named_and_no_learner_has_taken_the_step():
    env = gym.make_vec("pg/CartPole-v1", 8)
    agent = agent_with([5, 9])
    rollout = next(make_collector(agent, env, 0))
    with torch.no_grad():
        agent.critic.network[-1].weight[1] = 1e30
    before = [parameter.clone() for parameter in agent.parameters()]
    with pytest.raises(FloatingPointError, match=r"the gradient of learner 1 \(seed 9\) of A2C is not finite"):
        agent.update(rollout)
    assert all(torch.equal(a, b) for a, b in zip(before, agent.parameters(), strict=True))


def first_come(adapter, actor, episodes, max_episode_steps, play=evaluation._play):
    learners, actor.policy.num_learners = actor.policy.num_learners, 1
    try:
        return play(adapter, actor, episodes, max_episode_steps)
    finally:
        actor.policy.num_learners = learners


test_seeded_bugs = seeded(
    Bug(
        "the rows of the first learner play first",
        evaluation._play,
        first_come,
        [test_learners_play_as_many_episodes_each],
    ),
    Bug(
        "the id that was given is recorded",
        environments.made_by,
        lambda env_id, arguments, wrappers, num_learners=1, more=None: {
            "env": env_id, "env_args": dict(arguments or {}), "wrappers": list(wrappers or ()), **(more or {})
        },
        [test_the_command_line_goes_on_with_a_run_of_learners],
    ),
)  # fmt: skip
