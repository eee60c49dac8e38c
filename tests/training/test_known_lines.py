"""A run's curve stands in one chart with the returns of the best and of the random policy."""

import re

import gymnasium as gym
import pg_envs
import pytest
from support.resumed import rows
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

import pg_agents as pg
from pg_agents.training.known import known_lines


def test_what_is_known_is_per_episode_or_per_step():
    for env_id, tag in (("pg/GridWorld-v0", "rollout/{}_return"), ("pg/TwoStateMDP-v0", "train/{}_gain")):
        env = gym.make_vec(env_id, 2)
        known = pg_envs.known_returns(env)
        assert known_lines(env) == {tag.format("optimal"): known.optimal, tag.format("random"): known.random}
    found = known_lines(gym.make("pg/Recall-v0"))
    assert found["rollout/random_return"] < found["rollout/memoryless_return"] < found["rollout/optimal_return"]
    assert known_lines(gym.make("Acrobot-v1")) == {}


def shown_in_charts(folder):
    """Return the tags that the tab CUSTOM SCALARS shows of a run, of each chart."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    (found,) = events.Tensors("custom_scalars__config__")
    (category,) = Layout.FromString(found.tensor_proto.string_val[0]).category
    patterns = [chart.multiline.tag for chart in category.chart]
    return [{tag for tag in events.Tags()["scalars"] if any(re.match(one, tag) for one in some)} for some in patterns]


@pytest.mark.parametrize("seeds", [None, (3, 5)])
def test_every_row_has_the_lines_and_a_chart_shows_them_with_the_curves(tmp_path, seeds):
    several = {"seeds": seeds} if seeds else {}
    agent, env = pg.Reinforce.for_env("pg/TwoArmedBandit-v0", num_envs=4, **several), "pg/TwoArmedBandit-v0"
    how = {"num_envs": 4, "eval_env": env, "log_every": 16, "progress": False, "run_dir": tmp_path / "r"}
    pg.train(agent, env, total_steps=64, **how)
    for folder in (tmp_path / "r", *(tmp_path / "r" / f"seed-{seed}" for seed in seeds or ())):
        learned = [row for row in rows(folder) if "train/n_updates" in row]
        assert learned and all(row["rollout/optimal_return"] > row["rollout/random_return"] for row in learned)
        known = {"rollout/optimal_return", "rollout/random_return"}
        assert shown_in_charts(folder) == [{"rollout/ep_rew_mean", "eval/ep_rew_mean"} | known]


def test_the_gain_of_a_task_that_never_ends_has_a_chart_of_its_own(tmp_path):
    env = "pg/TwoStateMDP-v0"
    agent = pg.AverageReward.for_env(env, num_envs=4)
    pg.train(agent, env, num_envs=4, total_steps=64, run_dir=tmp_path / "r", progress=False)
    assert shown_in_charts(tmp_path / "r") == [{"train/gain", "train/optimal_gain", "train/random_gain"}]
