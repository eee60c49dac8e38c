"""What a run says of itself: mean returns and lengths, why texts ended, tokens a second."""

import json
from contextlib import nullcontext
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from pg_envs import TokenEnv, TokenVectorEnv
from support.bugs import Bug, seeded, with_arguments

import pg_agents as pg
from pg_agents.collection import rollout_builder
from pg_agents.policies import TransformerPolicy
from pg_agents.training.progress import RunProgress

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


# -- mean returns and lengths ------------------------------------------------------------------------------------------
FROZEN = {"CartPole-v1": "reinforce", "pg/Shorter-v0": "rloo"}  # in the one longer is better, in the other shorter


@pytest.fixture(scope="module", params=FROZEN)
def frozen(request):
    """Return an environment's id, an agent that does not move, and its returns and lengths in many episodes."""
    make = pg.AGENTS[FROZEN[request.param]].for_env
    agent = make(gym.make_vec(request.param, 16), learning_rate=1e-12)
    found = pg.evaluate(agent, gym.make_vec(request.param, 500), episodes=4000, greedy=False)
    return request.param, agent, found


def close_to(reported, count, sample):
    """Return whether a mean of `count` is within three standard errors of the mean of `sample`."""
    return abs(reported - np.mean(sample)) < 3 * np.std(sample) * np.sqrt(1 / count + 1 / len(sample))


@pytest.mark.parametrize("num_envs", [16, 64, 256, 512])
def test_means_do_not_depend_on_how_long_episodes_took(frozen, num_envs, tmp_path):
    env_id, agent, true = frozen
    env = gym.make_vec(env_id, num_envs)
    total_steps = int(np.mean(true.lengths) * max(num_envs, 200))
    summary = pg.train(agent, env, total_steps=total_steps, seed=3, run_dir=tmp_path / "r", progress=False)
    rows = [json.loads(line) for line in (tmp_path / "r" / "metrics.jsonl").read_text().splitlines()]
    last = [row for row in rows if "rollout/ep_rew_mean" in row][-1]
    assert summary.recent_episodes == {16: 112, 64: 128, 256: 256, 512: 512}[num_envs]
    assert last["rollout/ep_rew_mean"] == summary.mean_return_last_100
    assert close_to(summary.mean_return_last_100, summary.recent_episodes, true.returns)
    assert close_to(last["rollout/ep_len_mean"], summary.recent_episodes, true.lengths)


@pytest.mark.parametrize("num_envs", [16, 512])
def test_a_run_does_not_end_at_a_return_that_only_its_longest_episodes_have(frozen, num_envs):
    env_id, agent, true = frozen
    goal = float(np.mean(true.returns) + 4 * np.std(true.returns) / 10)  # the last 100 of 512 CartPoles return 41
    env = gym.make_vec(env_id, num_envs)
    total_steps = int(np.mean(true.lengths) * num_envs * (20 if num_envs < 100 else 2))
    never = pg.train(agent, env, total_steps=total_steps, stop_return=goal, progress=False)
    assert not never.stopped and never.total_steps >= total_steps
    half = float(np.mean(true.returns) / 2)
    at_once = pg.train(agent, env, total_steps=total_steps, stop_return=half, progress=False)
    assert at_once.stopped and 100 <= at_once.episodes <= max(112, num_envs)


def test_as_few_whole_rollouts_count_as_hold_a_hundred_episodes():
    env = gym.make_vec("pg/TwoArmedBandit-v0", 2)
    rollout = next(pg.collect_episodes(env, pg.Reinforce.for_env(env).policy))
    run = RunProgress()
    assert (run.mean_return, run.recent_episodes) == (None, 0)
    for count, worth in ((60, 1.0), (30, 2.0), (70, 4.0), (99, 8.0), (0, 0.0)):
        returns, lengths = torch.full((count,), worth, dtype=torch.float64), torch.full((count,), count)
        run.collected(replace(rollout, episode_returns=returns, episode_lengths=lengths))
        expected = {60: (60, 1.0), 30: (90, 4 / 3), 70: (100, 3.4)}.get(count, (169, (70 * 4 + 99 * 8) / 169))
        assert (run.recent_episodes, run.mean_return) == expected
    assert run.row()["rollout/ep_len_mean"] == (70 * 70 + 99 * 99) / 169 and run.episodes == 259


# -- texts and time ----------------------------------------------------------------------------------------------------
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
    monkeypatch.setattr("pg_agents.training.progress.time.perf_counter", lambda: next(clock))
    env = TokenVectorEnv(4, **TASK)
    rollout = next(pg.collect_episodes(env, TransformerPolicy(6, 4)))
    run = RunProgress(of_tokens=True, since=-1.0)
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
    assert "time/tokens_per_second" not in RunProgress(steps=1, seconds=1.0).row()


def test_time_spent_on_anything_else_is_not_counted(monkeypatch):
    """Begins at 0; a rollout takes until 1, the evaluation until 4, the update until 5: two seconds of work."""
    clock = iter([0.0, 1.0, 1.0, 4.0, 5.0])
    monkeypatch.setattr("pg_agents.training.progress.time.perf_counter", lambda: next(clock))
    env = TokenVectorEnv(4, **TASK)
    run = RunProgress(since=-9.0)
    rollout = next(pg.collect_episodes(env, TransformerPolicy(6, 4)))
    run.begins()
    run.collected(rollout)
    with run.untimed():
        pass
    run.learned({})
    assert run.seconds == 2


def collects_what_ended_last(self, rollout, right=RunProgress.collected):
    last = {name: getattr(rollout, name)[-100:] for name in ("episode_returns", "episode_lengths")}
    right(self, replace(rollout, **last))


def collects_and_lets_go_too_soon(self, rollout, right=RunProgress.collected):
    right(self, rollout)
    while self.recent_episodes >= 100:
        self.recent.popleft()


def forgets_no_reasons(self, right=RunProgress.row):
    known = self.stop_reasons.copy()
    row = right(self)
    self.stop_reasons.update(known)
    return row


test_seeded_bugs = seeded(
    Bug(
        "means are of the episodes that ended last in a rollout, the longest",
        RunProgress.collected,
        collects_what_ended_last,
        [test_means_do_not_depend_on_how_long_episodes_took],
    ),
    Bug(
        "a rollout is let go of that the last hundred episodes need",
        RunProgress.collected,
        collects_and_lets_go_too_soon,
        [test_as_few_whole_rollouts_count_as_hold_a_hundred_episodes],
    ),
    Bug(
        "why texts ended is added up over the whole run",
        RunProgress.row,
        forgets_no_reasons,
        [test_fractions_and_speed_are_of_the_time_since_the_last_row],
    ),
    Bug(
        "the time of evaluations counts as learning",
        RunProgress.untimed,
        lambda self: nullcontext(),
        [test_time_spent_on_anything_else_is_not_counted],
    ),
    Bug(
        "reasons are those of texts that go on",
        rollout_builder._texts,
        with_arguments(rollout_builder._texts, done=np.logical_not),
        [test_a_rollout_knows_why_its_texts_ended],
    ),
)
