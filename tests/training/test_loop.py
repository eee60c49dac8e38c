"""The loop: what counts as a step, what is written down, what the same seed repeats, what a failure leaves behind."""

import itertools
import json
import random
import time

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from gymnasium.vector import SyncVectorEnv
from support.agents import EPISODIC_AGENTS
from support.bugs import Bug, seeded
from support.tiny_envs import MODES, OneStep, dice
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import pg_agents as pg
from pg_agents.seeding import Purpose, spawn
from pg_agents.training import loop
from pg_agents.training import run as running
from pg_agents.training.evaluations import Evaluations


class Countdown(gym.Env):
    """Episode k (from 1) lasts k steps, is worth −k a step, and is truncated."""

    observation_space, action_space = Discrete(1), Discrete(2)
    episode = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.left = self.episode + 1, self.episode + 1
        return np.int64(0), {}

    def step(self, action):
        self.left -= 1
        return np.int64(0), -float(self.episode), False, self.left == 0, {}


def parameters(agent):
    return torch.cat([parameter.detach().flatten() for parameter in agent.parameters()])


def rows_of(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


# -- the same seed -----------------------------------------------------------------------------------------------------
OTHER_ENVIRONMENTS = ["CartPole-v1", "pg/Copy-v0", "Pendulum-v1"]


def run(name, env_id, run_dir, seed=3, **env_arguments):
    groups = "group_size" in pg.AGENTS[name].argument_names() and not env_id.startswith("pg/")  # they take seeds each
    mode = {"vectorization_mode": "sync"} if groups else {}
    with_env = gym.make_vec(env_id, 4, **mode, **env_arguments)
    agent = pg.AGENTS[name].for_env(with_env, seed=seed)
    pg.train(agent, with_env, total_steps=300, seed=seed, run_dir=run_dir, log_every=50, progress=False)
    timeless = [{k: v for k, v in row.items() if not k.startswith("time")} for row in rows_of(run_dir)]
    return parameters(agent), timeless


@pytest.mark.parametrize("name", EPISODIC_AGENTS)
@pytest.mark.parametrize(
    "env_id", ["pg/GridWorld-v0", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHER_ENVIRONMENTS)]
)
def test_the_same_seed_gives_the_same_bits(tmp_path, name, env_id):
    first, rows = run(name, env_id, tmp_path / "a")
    torch.manual_seed(99)  # what the caller does with global generators makes no difference
    np.random.seed(99)
    random.seed(99)
    second, again = run(name, env_id, tmp_path / "b")
    assert torch.equal(first, second) and rows == again


@pytest.mark.parametrize("name", EPISODIC_AGENTS)
def test_another_seed_gives_others(tmp_path, name):
    (first, rows), (second, others) = (run(name, "pg/GridWorld-v0", tmp_path / str(seed), seed) for seed in (3, 4))
    assert not torch.equal(first, second) and rows != others


def test_global_generators_are_left_alone(tmp_path):
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    run("actor-critic", "pg/Copy-v0", tmp_path / "a")
    run("reinforce-baseline", "CartPole-v1", tmp_path / "b")
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1]) and states[2] == random.getstate()


# -- steps and the summary ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["actor-critic", "reinforce"])
def test_steps_are_transitions_that_were_learned_from(tmp_path, mode, name):
    agent = pg.AGENTS[name].for_env(dice(mode))
    counted = []
    learn = agent.update

    def update(rollout):
        counted.append(int(rollout.mask.sum()))
        return learn(rollout)

    agent.update = update
    summary = pg.train(agent, dice(mode), total_steps=500, progress=False, run_dir=tmp_path / "r")
    assert summary.total_steps == sum(counted) >= 500
    assert sum(counted[:-1]) < 500  # and not one update more than it takes
    assert rows_of(tmp_path / "r")[-1]["step"] == sum(counted)


@pytest.mark.parametrize("mode", MODES)
def test_ignored_actions_of_one_step_episodes_are_not_counted(mode):
    env = SyncVectorEnv([OneStep] * 3, autoreset_mode=mode)
    summary = pg.train(pg.ActorCritic.for_env(env), env, total_steps=30, progress=False)
    assert (summary.total_steps, summary.episodes, summary.mean_return_last_100) == (30, 30, 1.0)


def test_resets_alone_are_no_reason_to_update():
    env = SyncVectorEnv([OneStep])  # every second step is a reset
    agent = pg.ActorCritic.for_env(env)
    learn, rows = agent.update, []
    agent.update = lambda rollout: rows.append(rollout.num_transitions) or learn(rollout)
    pg.train(agent, env, total_steps=10, progress=False)
    assert rows == [1] * 10


def test_the_summarys_numbers_are_what_they_are_defined_to_be(tmp_path):
    # A single environment. Episodes of 1, 2, …, 119, 120 steps are 7260; the return of episode k is −k².
    env = Countdown()
    agent = pg.Reinforce.for_env(env)
    summary = pg.train(agent, env, total_steps=7260, seed=5, run_dir=tmp_path / "r", progress=False)
    mean = -sum(k * k for k in range(21, 121)) / 100  # the last 100 of 120
    assert (summary.agent, summary.env, summary.seed) == ("reinforce", "Countdown", 5)
    assert (summary.total_steps, summary.episodes) == (7260, 120)
    assert summary.mean_return_last_100 == mean == -5803.5
    assert summary.steps_per_second == summary.total_steps / summary.wall_seconds
    assert json.loads((tmp_path / "r" / "summary.json").read_text()) == vars(summary)
    last = rows_of(tmp_path / "r")[-1]
    assert (last["rollout/ep_rew_mean"], last["rollout/ep_len_mean"]) == (mean, 70.5)  # (21 + … + 120) / 100


def test_a_run_in_which_no_episode_ends_has_no_mean_return(tmp_path):
    env = gym.make_vec("pg/TwoStateMDP-v0", 2)
    summary = pg.train(pg.ActorCritic.for_env(env), env, total_steps=20, run_dir=tmp_path / "r", progress=False)
    assert summary.mean_return_last_100 is None and summary.episodes == 0
    assert all("rollout/ep_rew_mean" not in row for row in rows_of(tmp_path / "r"))


def test_rows_average_the_updates_since_the_last_one(tmp_path):
    env = SyncVectorEnv([OneStep] * 2)
    agent = pg.ReinforceBaseline.for_env(env, discount=1.0)
    values = []
    learn = agent.update

    def update(rollout):
        metrics = learn(rollout)
        values.append(float(metrics["value_loss"]))
        return metrics

    agent.update = update
    pg.train(agent, env, total_steps=24, log_every=8, run_dir=tmp_path / "r", progress=False)
    rows = rows_of(tmp_path / "r")
    assert [row["step"] for row in rows] == [8, 16, 24]  # an update is two steps: four updates a row
    assert [row["train/value_loss"] for row in rows] == pytest.approx([np.mean(values[i : i + 4]) for i in (0, 4, 8)])
    assert values[0] == 0.5 and values[-1] < values[0]  # ½ (1 − 0)² at first


# -- what is written ---------------------------------------------------------------------------------------------------
def test_tensorboard_shows_what_metrics_jsonl_says(tmp_path):
    env = gym.make_vec("pg/TwoArmedBandit-v0", 4)
    agent = pg.ReinforceBaseline.for_env(env)
    probes = [lambda run: {"mine/rows": float(run.rollout.mask.sum())}]
    settings = {"log_every": 100, "probes": probes, "config": {"why": "a test"}}
    pg.train(agent, env, total_steps=1000, seed=2, run_dir=tmp_path / "r", progress=False, **settings)
    events = EventAccumulator(str(tmp_path / "r"), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    names = {
        "rollout/ep_rew_mean", "rollout/ep_len_mean", "train/policy_loss", "train/value_loss", "train/entropy",
        "train/grad_norm", "train/explained_variance", "train/n_updates", "train/learning_rate", "train/entropy_weight",
        "time/steps_per_second", "tabular/action_0", "tabular/action_1", "mine/rows",
        "rollout/optimal_return", "rollout/random_return",
    }  # fmt: skip
    assert set(events.Tags()["scalars"]) == names | {"summary/ep_rew_mean"}
    rows = rows_of(tmp_path / "r")
    assert [row["step"] for row in rows] == list(range(100, 1001, 100))  # environment steps, not updates
    for name in names:
        points = events.Scalars(name)
        assert [point.step for point in points] == [row["step"] for row in rows]
        numbers = [np.nan if row[name] is None else row[name] for row in rows]
        assert [point.value for point in points] == pytest.approx(numbers, rel=1e-6, nan_ok=True)
    probabilities = agent.policy.probabilities()[0, 0].tolist()
    assert [rows[-1]["tabular/action_0"], rows[-1]["tabular/action_1"]] == pytest.approx(probabilities)
    text = events.Tensors("config/text_summary")[0].tensor_proto.string_val[0].decode()
    config = json.loads((tmp_path / "r" / "config.json").read_text())
    assert text == f"```json\n{json.dumps(config, indent=2)}\n```"
    assert (config["agent"], config["env"], config["num_envs"]) == ("reinforce-baseline", "pg/TwoArmedBandit-v0", 4)
    assert (config["total_steps"], config["seed"], config["why"]) == (1000, 2, "a test")
    assert config["arguments"] == json.loads(json.dumps(agent.arguments)) and config["parameters"] == 3


def test_tensorboard_shows_generated_texts(tmp_path):
    env = gym.make_vec("pg/Copy-v0", 4, length=2, symbols=2)
    pg.train(pg.Reinforce.for_env(env), env, total_steps=8, run_dir=tmp_path / "r", progress=False, log_every=1)
    events = EventAccumulator(str(tmp_path / "r"), size_guidance={"tensors": 0})
    events.Reload()
    shown = {}
    for name in ("samples/training", "samples/same_prompts"):
        found = events.Tensors(f"{name}/text_summary")
        shown[name] = [(point.step, point.tensor_proto.string_val[0].decode()) for point in found]
        rows = [(row["step"], row[name]) for row in rows_of(tmp_path / "r") if name in row]
        assert shown[name] == rows and all(len(text.splitlines()) == 2 + 4 for _, text in rows)
    (first, before), (last, after) = shown["samples/same_prompts"]
    assert first == 0 and last == rows_of(tmp_path / "r")[-1]["step"] >= 8
    prompts = [[line.split("|")[1] for line in text.splitlines()] for text in (before, after)]
    assert prompts[0] == prompts[1] and len(set(prompts[0])) > 3


def test_learning_goes_on_where_an_earlier_run_stopped():
    env = gym.make_vec("pg/TwoArmedBandit-v0", 8)
    agent = pg.Reinforce.for_env(env)
    for seed in (0, 1):
        pg.train(agent, env, total_steps=2000, seed=seed, progress=False)
    assert agent.policy.probabilities()[0, 0, 0] > 0.9  # 0.6 is better than 0.4


# -- the end of a run, and evaluations on the way ----------------------------------------------------------------------
def test_a_run_ends_at_the_return_that_was_asked_for(tmp_path):
    env = gym.make_vec("CartPole-v1", 8)
    agent = pg.PPO.for_env(env, learning_rate=1e-3)
    summary = pg.train(agent, env, total_steps=200_000, stop_return=60, progress=False, run_dir=tmp_path / "r")
    assert summary.stopped and summary.mean_return_last_100 >= 60 and summary.total_steps < 100_000
    assert summary.episodes >= 100
    written = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert written["stopped"] and written["stop_return"] == 60 and written["total_steps"] == summary.total_steps
    never = pg.train(pg.PPO.for_env(env), env, total_steps=4_000, stop_return=501, progress=False)
    assert not never.stopped and never.total_steps >= 4_000


def test_a_run_with_negative_returns_does_not_end_before_a_hundred_episodes():
    """A hundredth of −1,200 is above −200, as the mean of a hundred such episodes is not."""
    env = gym.make_vec("Pendulum-v1", 4)
    agent = pg.PPO.for_env(env, num_steps=200)
    assert not pg.train(agent, env, total_steps=2_000, stop_return=-200.0, progress=False).stopped


def test_a_run_does_not_end_before_a_hundred_episodes():
    env = gym.make_vec("pg/BernoulliBandit-v0", 10, probabilities=(1.0, 1.0))
    summary = pg.train(pg.Reinforce.for_env(env), env, total_steps=5_000, stop_return=1.0, progress=False)
    assert summary.stopped and summary.episodes == 100


def test_evaluations_on_the_way(tmp_path):
    env, other = gym.make_vec("Pendulum-v1", 4), gym.make_vec("Pendulum-v1", 5)
    agent = pg.PPO.for_env(env, num_steps=64)
    summary = pg.train(
        agent, env, total_steps=2_000, progress=False, run_dir=tmp_path / "r", eval_env=other, eval_every=500,
        eval_episodes=5,
    )  # fmt: skip
    assert list(summary.evaluations) == [0, 512, 1020, 1532, 2040]  # the resets are no steps
    rows = [row for row in rows_of(tmp_path / "r") if "eval/ep_rew_mean" in row]
    assert [row["eval/ep_rew_mean"] for row in rows] == list(summary.evaluations.values())
    seed = spawn(0, Purpose.SELECTION)
    assert pg.evaluate(agent, other, episodes=5, seed=seed).mean_return == rows[-1]["eval/ep_rew_mean"]
    best = pg.evaluate(pg.load(tmp_path / "r" / "best"), other, episodes=5, seed=seed).mean_return
    assert best == max(summary.evaluations.values())


def test_evaluation_changes_nothing_of_a_run():
    found = []
    for evaluating in ({}, {"eval_env": gym.make_vec("Pendulum-v1", 2), "eval_every": 100, "eval_episodes": 2}):
        env = gym.make_vec("Pendulum-v1", 2)
        agent = pg.PPO.for_env(env, num_steps=64, normalize_observations=True)
        pg.train(agent, env, total_steps=512, progress=False, **evaluating)
        found.append(torch.cat([value.flatten() for value in agent.state_dict().values()]))
    assert torch.equal(*found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"stop_return": "475"}, "stop_return must be a finite number, got '475'"),
        ({"stop_return": float("nan")}, "stop_return must be a finite number"),
        ({"eval_every": 10}, "eval_every=10 needs an environment to evaluate in"),
        ({"eval_env": gym}, "eval_env must be an environment, or the id of one, got <module 'gymnasium'"),
        ({"eval_env": gym.make("Acrobot-v1")}, "eval_env: its observation space is"),
        (
            {"eval_env": gym.make("CartPole-v1"), "eval_every": 0},
            "eval_every must be a whole number, 1 or above",
        ),
    ],
)
def test_what_a_run_is_given_is_checked_before_it_begins(arguments, message):
    env = gym.make("CartPole-v1")
    agent = pg.A2C.for_env(env)
    with pytest.raises(ValueError, match=message):
        pg.train(agent, env, total_steps=100, progress=False, **arguments)
    with pytest.raises(ValueError, match="eval_env must be another environment"):
        pg.train(agent, env, total_steps=100, progress=False, eval_env=env.unwrapped)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": 64}, "hidden must be the sizes"),
        ({"hidden": (64, 0)}, r"hidden must be the sizes of the hidden layers, like .*, got \(64, 0\)"),
        ({"normalize_rewards": "false"}, "normalize_rewards must be True or False, got 'false'"),
        ({"learning_rate": True}, "learning_rate must be a finite number above 0, got True"),
        ({"critic": None}, "critic: for_env makes the networks"),
        ({"num_learners": 0}, "num_learners must be a whole number, 1 or above, got 0"),
    ],
)
def test_arguments_of_an_agent_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        pg.PPO.for_env(gym.make("CartPole-v1"), **arguments)


def test_as_many_learners_as_environments():
    env = gym.make_vec("FrozenLake-v1", 4, vectorization_mode="sync")
    with pytest.raises(ValueError, match="4 environments cannot be shared out among num_learners=3; make 3 of them"):
        pg.A2C.for_env(env, num_learners=3, max_grad_norm=None)


class Slow(gym.Wrapper):
    def step(self, action):
        time.sleep(0.05)
        return super().step(action)


def test_the_time_of_evaluations_is_not_the_runs():
    """Fifteen steps of 0.05 seconds are evaluated before the first update, between two and after the last."""
    env, slow = (gym.make("pg/TwoArmedBandit-v0") for _ in range(2))
    begun = time.perf_counter()
    summary = pg.train(
        pg.Reinforce.for_env(env),
        env,
        total_steps=10,
        eval_env=Slow(slow),
        eval_every=5,
        eval_episodes=15,
        progress=False,
    )
    assert len(summary.evaluations) == 3
    assert time.perf_counter() - begun - summary.wall_seconds > 3 * 15 * 0.05


RUNS = itertools.count()


def collects_otherwise_each_time(agent, env, seed, step_timeout, right=loop.make_collector):
    return right(agent, env, seed + next(RUNS), step_timeout)


def due_after_a_while(self, env, every, episodes, seed, step_timeout, right=Evaluations.__init__):
    right(self, env, every, episodes, seed, step_timeout)
    self.due = self.every


def test_fewer_environments_than_a_minibatch_needs_are_refused():
    agent = pg.PPO.for_env("CartPole-v1", num_envs=16, num_steps=8, minibatch_size=100)
    with pytest.raises(
        ValueError, match="minibatch_size must not be above the steps of a rollout, 8 .* 4 environments"
    ):
        pg.train(agent, "CartPole-v1", num_envs=4, total_steps=64, progress=False)


test_seeded_bugs = seeded(
    Bug(
        "there is no evaluation before the first update",
        Evaluations.__init__,
        due_after_a_while,
        [test_evaluations_on_the_way],
    ),
    Bug(
        "texts before and after answer other prompts",
        loop.make_collector,
        collects_otherwise_each_time,
        [test_tensorboard_shows_generated_texts],
    ),
    Bug(
        "a run ends before a hundred episodes",
        (running, "LAST"),
        1,
        [test_a_run_does_not_end_before_a_hundred_episodes],
    ),
)
