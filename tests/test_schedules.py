"""Numbers that change over a run."""

import json

import gymnasium as gym
import pytest

import pg_agents as pg
from pg_agents.schedules import LinearSchedule, scheduled


def test_a_line():
    line = LinearSchedule(1.0, 0.5)
    assert [line.at(progress) for progress in (0.0, 0.5, 1.0)] == [1.0, 0.75, 0.5]


def test_text_and_back():
    assert scheduled("clip", "1e-3:0") == LinearSchedule(1e-3, 0.0) and str(LinearSchedule(1e-3, 0.0)) == "0.001:0.0"
    assert scheduled("clip", str(LinearSchedule(0.3, 0.1))) == LinearSchedule(0.3, 0.1)
    assert scheduled("clip", 0.2) == 0.2 and scheduled("clip", None) is None


@pytest.mark.parametrize("text", ["", "1:2:3", "a:b", ":"])
def test_what_is_no_schedule_is_refused_by_name(text):
    with pytest.raises(ValueError, match=f"clip must be a number, or a schedule .* got '{text}'"):
        scheduled("clip", text)


@pytest.mark.parametrize("value", ["-1:0", "1e-3:-1e-4", "nan:0"])
def test_both_ends_are_checked(value):
    with pytest.raises(ValueError, match="learning_rate must be"):
        pg.PPO.for_env(gym.make("CartPole-v1"), learning_rate=value)


def test_the_optimizer_follows_the_run(tmp_path):
    env = gym.make_vec("Pendulum-v1", 2)
    agent = pg.A2C.for_env(env, learning_rate="1e-2:0", critic_learning_rate=LinearSchedule(2e-2, 1e-2), num_steps=10)
    rates = []

    def probe(run):
        rates.append([group["lr"] for group in run.agent.flat_optimizer.optimizer.param_groups])
        return {}

    pg.train(agent, env, total_steps=80, log_every=20, progress=False, probes=[probe], run_dir=tmp_path / "r")
    assert rates == [pytest.approx([1e-2 * (1 - p), 2e-2 - 1e-2 * p]) for p in (0, 0.25, 0.5, 0.75)]
    assert pg.load(tmp_path / "r" / "agent").learning_rate == LinearSchedule(1e-2, 0.0)
    rows = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    assert [[row["train/learning_rate"], row["train/critic_learning_rate"]] for row in rows] == rates


def test_loss_terms_follow_the_run():
    agent = pg.PPO.for_env(gym.make_vec("CartPole-v1", 2), clip="0.4:0.2", entropy_weight="0.1:0")
    agent.progress = 0.5
    assert agent.current("clip") == pytest.approx(0.3) and agent.current("entropy_weight") == pytest.approx(0.05)
