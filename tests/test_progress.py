"""What a run says of itself: why texts ended, tokens a second."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from pg_envs import TokenEnv, TokenVectorEnv

import pg_agents as pg
from pg_agents.policies import TransformerPolicy
from pg_agents.progress import RunProgress

torch.set_num_threads(1)
TASK = {
    "prompts": [[5]],
    "score": lambda prompt, text: 0.0,
    "vocabulary": 6,
    "eos": 3,
    "max_new_tokens": 3,
    "stop": [[4, 4]],
}


def reason(text):
    """Return why a text ends, by the task's own words."""
    if text[-1] == 3:
        return "eos"
    return "verifier" if text[-2:] == [4, 4] else "length"


@pytest.mark.parametrize("mode", [AutoresetMode.DISABLED, AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP])
def test_a_rollout_knows_why_its_texts_ended(mode):
    env = TokenVectorEnv(200, autoreset_mode=mode, **TASK)
    rollout = next(pg.collect_episodes(env, TransformerPolicy(6, 4), seed=1))
    texts = [rollout.actions[:, b][rollout.mask[:, b]].tolist() for b in range(200)]
    in_order = sorted(range(200), key=lambda b: (len(texts[b]), b))  # those that ended first come first
    assert list(rollout.stop_reasons) == [reason(texts[b]) for b in in_order]
    assert set(rollout.stop_reasons) == {"eos", "verifier", "length"}
    assert rollout.to("meta").stop_reasons == rollout.stop_reasons


def test_single_environments_and_steps_know_it_too_and_others_have_no_reasons():
    env = gym.vector.SyncVectorEnv([lambda: TokenEnv(**TASK)] * 3)
    rollout = next(pg.collect_steps(env, TransformerPolicy(6, 4), 30))
    assert len(rollout.stop_reasons) == len(rollout.episode_returns) > 10
    assert set(rollout.stop_reasons) <= {"eos", "verifier", "length"}
    env = gym.make_vec("CartPole-v1", 2)
    rollout = next(pg.collect_episodes(env, pg.Reinforce.for_env(env).policy))
    assert rollout.stop_reasons == ()


def test_fractions_and_speed_are_of_the_time_since_the_last_row(monkeypatch):
    clock = iter(np.arange(100.0))
    monkeypatch.setattr("pg_agents.progress.time.perf_counter", lambda: next(clock))
    env = TokenVectorEnv(4, **TASK)
    rollout = next(pg.collect_episodes(env, TransformerPolicy(6, 4)))
    run = RunProgress(1000, of_tokens=True, since=-1.0)
    first = replace(rollout, stop_reasons=("eos", "eos", "length", ""))
    run.collected(first)
    run.learned({})
    row = run.row()
    assert {name: value for name, value in row.items() if name.startswith("stop/")} == {
        "stop/eos": 0.5, "stop/verifier": 0.0, "stop/length": 0.25, "stop/truncated": 0.25,
    }  # fmt: skip
    tokens = rollout.num_transitions
    assert row["time/tokens_per_second"] == row["time/steps_per_second"] == tokens / 2
    for _ in range(3):
        run.collected(replace(rollout, stop_reasons=("verifier",)))
    row = run.row()
    assert (row["stop/verifier"], row["stop/eos"]) == (1.0, 0.0) and "stop/truncated" not in row
    assert row["time/tokens_per_second"] == tokens  # three rollouts in three seconds
    assert row["time/steps_per_second"] == 4 * tokens / 5
    assert "time/tokens_per_second" not in RunProgress(10, steps=1, seconds=1.0).row()


def test_time_spent_on_anything_else_is_not_counted(monkeypatch):
    """Begins at 0; a rollout takes until 1, the evaluation until 4, the update until 5: two seconds of work."""
    clock = iter([0.0, 1.0, 1.0, 4.0, 5.0])
    monkeypatch.setattr("pg_agents.progress.time.perf_counter", lambda: next(clock))
    env = TokenVectorEnv(4, **TASK)
    run = RunProgress(1000, since=-9.0)
    rollout = next(pg.collect_episodes(env, TransformerPolicy(6, 4)))
    run.begins()
    run.collected(rollout)
    with run.untimed():
        pass
    run.learned({})
    assert run.seconds == 2
