"""Rows have the transitions of Gymnasium's single environments, with their seeds, options, time limits and ends."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from pg_envs.classic.forms import ClassicVector
from pg_envs.core.blocks import Blocks
from pg_envs.core.rows import RowsVectorEnv
from support.bugs import Bug, seeded, with_arguments, with_result
from support.classic import NAMES, assert_equal, assert_plays_alike, assert_step, pair

SEEDS = st.lists(st.integers(0, 2**63), min_size=1, max_size=3)
each = pytest.mark.parametrize("name", NAMES)


@pytest.mark.filterwarnings("ignore")  # Gymnasium's checker has remarks on its own environments
@each
@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(1, 80), st.sampled_from([0.0, 0.2, 1.0]), st.integers(0, 99))
def test_rows_are_gymnasiums_single_environments(name, seeds, limit, noise, action_seed):
    steps = min(2 * limit + 3, 90)
    assert assert_plays_alike(name, seeds, steps, noise, action_seed, limit=limit) >= len(seeds) * (steps // limit)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "steps", "noise"),
    [
        ("CartPole-v1", 1020, 0.01),
        ("CartPole-v1", 300, 1.0),
        ("Acrobot-v1", 620, 1.0),
        ("Acrobot-v1", 300, 0.0),
        ("MountainCar-v0", 420, 0.1),
        ("MountainCarContinuous-v0", 1100, 0.3),
        ("MountainCarContinuous-v0", 1010, 1.0),
        ("Pendulum-v1", 420, 0.1),
    ],
)
def test_whole_episodes_are_gymnasiums(name, steps, noise):
    assert assert_plays_alike(name, [5, 2**40], steps, noise, 0) >= 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("CartPole-v1", {"sutton_barto_reward": True}),
        ("MountainCar-v0", {"goal_velocity": 0.04}),
        ("MountainCarContinuous-v0", {"goal_velocity": 0.05}),
        ("Pendulum-v1", {"g": 9.81}),
    ],
)
def test_arguments_are_gymnasiums(name, arguments):
    assert_plays_alike(name, [3, 4], 300, 0.1, 0, **arguments)


@each
def test_many_starts_are_gymnasiums(name):
    """Also seed 48,970, where a cosine computed in float32, as Acrobot's starts have it, is another one than usual."""
    seeds = range(48_600, 49_000)
    env, single = gym.make_vec(f"pg/{name}", len(seeds)), gym.make(name).unwrapped
    np.testing.assert_array_equal(env.reset(seed=seeds[0])[0], [single.reset(seed=seed)[0] for seed in seeds])


@each
def test_registrations_are_gymnasiums(name):
    ours, theirs = gym.spec(f"pg/{name}"), gym.spec(name)
    assert (ours.max_episode_steps, ours.reward_threshold) == (theirs.max_episode_steps, theirs.reward_threshold)
    env, single = gym.make_vec(f"pg/{name}", 2), gym.make(name)
    assert env.single_observation_space == single.observation_space == gym.make(f"pg/{name}").observation_space
    assert env.single_action_space == single.action_space
    assert env.unwrapped.max_episode_steps == theirs.max_episode_steps
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP and env.metadata["seeds_per_environment"]


@pytest.mark.filterwarnings("ignore")
@each
def test_options_hold_for_the_episodes_that_the_reset_starts(name):
    options = {"x_init": 0.3, "y_init": 0.0} if name == "Pendulum-v1" else {"low": -0.3, "high": -0.28}
    env, singles, _ = pair(name, [1, 2], limit=3)
    for later in (options, None, {key: options[key] for key in list(options)[:1]} if name == "Pendulum-v1" else {}):
        seen, _ = env.reset(options=later)
        assert_equal(seen, np.stack([single.reset(options=later)[0] for single in singles]))
        for _ in range(4):  # into an episode with the usual starts
            assert_step(env, singles, env.action_space.sample())


@each
def test_more_episodes_than_were_drawn_ahead(name):
    env = gym.make_vec(f"pg/{name}", 1, max_episode_steps=1)
    single = gym.make(name)
    env.reset(seed=11), single.reset(seed=11)
    for _ in range(150):
        assert_equal(env.step(env.action_space.sample())[0][0], single.reset()[0])


def _one_generator(self, generators):
    ORIGINAL["seed"](self, [generators[0]] * len(generators))


def _without_final(self, infos):
    infos = ORIGINAL["reset_ended"](self, infos)
    return {**infos, "final_obs": self._observe()}


def _kept_bounds(self, *, seed=None, options=None):
    self.bounds = self._bounds(options) if options else self.bounds
    return RowsVectorEnv.reset(self, seed=seed, options=options)


ORIGINAL = {"seed": ClassicVector._seed, "reset_ended": RowsVectorEnv._reset_ended}
test_seeded_bugs = seeded(
    Bug(
        "rows share a generator",
        ClassicVector._seed,
        _one_generator,
        [(test_whole_episodes_are_gymnasiums, "Pendulum-v1-420-0.1")],
    ),
    Bug(
        "the time limit is off by one",
        RowsVectorEnv.__init__,
        with_arguments(RowsVectorEnv.__init__, max_episode_steps=lambda limit: limit + 1),
        [(test_whole_episodes_are_gymnasiums, "Pendulum-v1-420-0.1"), test_registrations_are_gymnasiums],
    ),
    Bug(
        "the final observation is the next episode's first",
        RowsVectorEnv._reset_ended,
        _without_final,
        [(test_whole_episodes_are_gymnasiums, "Pendulum-v1-420-0.1")],
    ),
    Bug("options last", ClassicVector.reset, _kept_bounds, [test_options_hold_for_the_episodes_that_the_reset_starts]),
    Bug(
        "a block of starts comes twice",
        Blocks._refill,
        lambda self, rows: (self.cursor.__imod__(len(self.values)), setattr(self, "spare", 1)),
        [test_more_episodes_than_were_drawn_ahead],
    ),
    Bug(
        "starts are rounded",
        ClassicVector._draw,
        with_result(ClassicVector._draw, lambda drawn: drawn.astype(np.float32)),
        [(test_whole_episodes_are_gymnasiums, "CartPole-v1-300-1.0")],
    ),
)
