"""A run's curve stands in one chart with the returns of the best and of the random policy."""

import re

import gymnasium as gym
import pg_envs
import pytest
from support.resumed import rows
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

import pg_agents as pg
from pg_agents.training.known import CHARTS, known_lines


def test_what_is_known_is_per_episode_or_per_step():
    for env_id, unit in (("pg/GridWorld-v0", "return"), ("pg/TwoStateMDP-v0", "gain")):
        env = gym.make_vec(env_id, 2)
        known = pg_envs.known_returns(env)
        assert known_lines(env) == {f"known/optimal_{unit}": known.optimal, f"known/random_{unit}": known.random}
    found = known_lines(gym.make("pg/Recall-v0"))
    assert found["known/random_return"] < found["known/memoryless_return"] < found["known/optimal_return"]
    assert known_lines(gym.make("Acrobot-v1")) == {}


@pytest.mark.parametrize(
    ("env_id", "chart", "learned"), [("pg/Recall-v0", 0, "rollout/ep_rew_mean"), ("pg/TwoStateMDP-v0", 1, "train/gain")]
)
def test_a_chart_has_its_curve_and_all_that_is_known_in_its_unit(env_id, chart, learned):
    charts = list(CHARTS.values())
    for tag in (learned, *known_lines(gym.make(env_id))):
        assert [any(re.match(one, tag) for one in tags) for tags in charts] == [chart == 0, chart == 1]


@pytest.mark.parametrize("seeds", [None, (3, 5)])
def test_every_row_has_the_lines_and_a_chart_shows_them_with_the_curves(tmp_path, seeds):
    several = {"seeds": seeds} if seeds else {}
    agent, env = pg.Reinforce.for_env("pg/TwoArmedBandit-v0", num_envs=4, **several), "pg/TwoArmedBandit-v0"
    how = {"num_envs": 4, "eval_env": env, "log_every": 16, "progress": False, "run_dir": tmp_path / "r"}
    pg.train(agent, env, total_steps=64, **how)
    for folder in (tmp_path / "r", *(tmp_path / "r" / f"seed-{seed}" for seed in seeds or ())):
        learned = [row for row in rows(folder) if "train/n_updates" in row]
        assert learned and all(row["known/optimal_return"] > row["known/random_return"] for row in learned)
        events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
        (found,) = events.Tensors("custom_scalars__config__")
        layout = Layout.FromString(found.tensor_proto.string_val[0])
        patterns = layout.category[0].chart[0].multiline.tag
        shown = {tag for tag in events.Tags()["scalars"] if any(re.match(one, tag) for one in patterns)}
        known = {"known/optimal_return", "known/random_return"}
        assert shown == {"rollout/ep_rew_mean", "eval/ep_rew_mean"} | known
