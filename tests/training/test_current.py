"""What an agent learns with is in every row of its metrics: step sizes, the entropy's weight, the width of actions."""

import json

import gymnasium as gym
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.training import current
from pg_agents.training.current import current_numbers, current_numbers_of_learners
from pg_agents.training.learners_progress import LearnersProgress
from pg_agents.training.progress import RunProgress

SEEDS = (3, 5)


class Now:
    """As much of a run as is looked at."""

    def __init__(self, agent):
        self.agent = agent


def made(name, actions=None, **options):
    return pg.AGENTS[name].for_spaces(Box(-1, 1, (3,)), actions or Discrete(2), hidden=(4,), **options)


@pytest.mark.parametrize("name", sorted(set(pg.AGENTS) - {"average-reward"}))
def test_every_agent_reports_its_step_sizes_and_the_weight_of_its_entropy(name):
    agent = made(name)
    found = current_numbers(Now(agent))
    natural = name in ("trpo", "npg")  # whose step has a length, and no rate
    assert found["train/entropy_weight"] == (0.0 if natural else agent.entropy_weight)
    assert ("train/learning_rate" in found) == (not natural)
    for option in ("learning_rate", "critic_learning_rate"):
        assert found.get(f"train/{option}") == agent.arguments.get(option)


def test_other_options_are_reported_if_they_change():
    agent = made("ppo", clip="0.4:0.2", entropy_weight=0.01)
    agent.progress = 0.5
    found = current_numbers(Now(agent))
    assert found["train/clip"] == pytest.approx(0.3) and found["train/entropy_weight"] == 0.01
    assert "train/discount" not in found and "train/clip" not in current_numbers(Now(made("ppo")))


@pytest.mark.parametrize("squash", [False, True])
def test_the_deviation_of_box_actions_is_in_half_their_width(squash):
    agent = made("ppo", Box(-5, 5, (2,)), squash=squash)
    with torch.no_grad():
        agent.policy.head.log_std.copy_(torch.tensor([0.5, 0.1]).log())
    assert current_numbers(Now(agent))["train/std"] == pytest.approx(0.3)
    assert "train/std" not in current_numbers(Now(made("ppo")))


def test_of_learners_each_has_its_own_and_the_run_the_means():
    agent = made("ppo", Box(-1, 1, (2,)), seeds=SEEDS, learning_rate=[1e-3, "3e-3:0"], clip=[0.2, "0.4:0"])
    with torch.no_grad():
        agent.policy.head.log_std.copy_(torch.tensor([[0.5, 0.1], [1.0, 1.0]]).log())
    agent.progress = (0.0, 0.5)
    first, second = current_numbers_of_learners(agent)
    assert first == pytest.approx({"train/learning_rate": 1e-3, "train/entropy_weight": 0.0, "train/std": 0.3})
    assert second == pytest.approx(
        {"train/learning_rate": 1.5e-3, "train/entropy_weight": 0.0, "train/clip": 0.2, "train/std": 1.0}
    )
    found = current_numbers(Now(agent))
    assert found["train/learning_rate"] == pytest.approx(1.25e-3) and found["train/std"] == pytest.approx(0.65)


# -- updates -----------------------------------------------------------------------------------------------------------
def updates_in(run_dir):
    rows = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [(row["step"], row["train/n_updates"]) for row in rows if "train/n_updates" in row]


def go(run_dir, total, **more):
    """Run learners of an environment each, of which one is reset in a rollout in which another takes a step."""
    seeds = more.pop("seeds", {})
    env = gym.make_vec("CartPole-v1", len(seeds.get("seeds", (0,))), vectorization_mode="sync")
    agent = pg.ActorCritic.for_env(env, hidden=(4,), **seeds)
    how = {"progress": False, "checkpoint_every": 40, "log_every": 20, "keep_checkpoints": 99}
    return pg.train(agent, env, total_steps=total, run_dir=run_dir, **how, **more)


def test_updates_are_counted_over_the_run_and_go_on_after_a_stop(tmp_path):
    go(tmp_path / "r", 60)
    assert updates_in(tmp_path / "r") == [(20, 20), (40, 40), (60, 60)]  # of one step each; resets are none
    go(tmp_path / "r", 100, resume=True)
    assert updates_in(tmp_path / "r")[-1] == (100, 100)


def test_each_learner_has_its_own_count(tmp_path):
    go(tmp_path / "r", 120, seeds={"seeds": SEEDS})
    for seed in SEEDS:
        counts = updates_in(tmp_path / "r" / f"seed-{seed}")
        assert counts and all(step == updates for step, updates in counts)


def test_checkpoints_that_did_not_count_updates_are_read():
    for learners in (None, LearnersProgress(2)):
        progress = RunProgress(learners=learners)
        progress.seconds = 1.0
        state = progress.get_state()
        del state["updates"]
        if learners is not None:
            del state["learners"]["updates"]
        progress.set_state(state, torch.device("cpu"))
        assert progress.row()["train/n_updates"] == 0


def of_all(self, rollout, right=LearnersProgress.collected):
    right(self, rollout)
    self.updates += self.updates.max() - self.updates


test_seeded_bugs = seeded(
    Bug(
        "constants are not reported", (current, "ALWAYS"), (), [test_of_learners_each_has_its_own_and_the_run_the_means]
    ),
    Bug(
        "every learner counts the updates of all",
        LearnersProgress.collected,
        of_all,
        [test_each_learner_has_its_own_count],
    ),
)
