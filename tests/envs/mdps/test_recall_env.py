"""What is shown, what pays, and what can be collected without memory."""

import itertools
import math
import warnings

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
from gymnasium.utils import seeding
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from pg_envs.mdps.recall import Recall, RecallVector


def play(env, policy, episodes, seed=0):
    """Returns of `episodes` episodes in every row; policy(observations [B], t) gives actions [B]."""
    env.reset(seed=seed)
    observations, returns = env.reset()[0], []
    for _ in range(episodes):
        total = np.zeros(env.num_envs)
        for t in range(env.delay + 1):
            observations, rewards, terminated, *_ = env.step(policy(observations, t))
            total += rewards
        assert terminated.all()
        returns.append(total)
    return np.concatenate(returns)


class Remembering:
    """Repeats every symbol and keeps the first."""

    def __init__(self, k):
        self.k = k

    def __call__(self, observations, t):
        self.cue = observations if t == 0 else self.cue
        return np.where(observations == 2 * self.k, self.cue, observations % self.k)


def test_gymnasium_has_nothing_to_object_to():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("pg/Recall-v0").unwrapped)


def test_an_episode_by_hand():
    """k = 4, n = 3: the symbols are the row's uniform numbers, and the rewards 1/3, 1/3, 1/3 and 1."""
    first, second, third = (4 * seeding.np_random(5)[0].random(3)).astype(int)
    env = Recall(num_symbols=4, delay=3)
    assert env.reset(seed=5)[0] == first
    assert env.step(first)[:3] == (4 + second, 1 / 3, False)
    assert env.step((second + 1) % 4)[:3] == (4 + third, 0, False)
    assert env.step(third)[:3] == (8, 1 / 3, False)
    assert env.step(first)[:3] == (8, 1, True)


def test_the_answer_is_the_cue_and_no_later_symbol():
    env = RecallVector(2000, num_symbols=3, delay=2)
    cue, _ = env.reset(seed=0)
    later = env.step(cue)[0]
    question = env.step(later % 3)[0]
    assert (later >= 3).all() and (later < 6).all() and (question == 6).all()
    rewards = env.step(later % 3)[1]
    np.testing.assert_array_equal(rewards, later % 3 == cue)
    assert 0.28 < rewards.mean() < 0.39  # 1/3, standard error 0.0105


def test_symbols_are_uniform_and_independent_of_the_cue():
    env = RecallVector(6000, num_symbols=3, delay=3)
    cue, _ = env.reset(seed=1)
    one = env.step(cue)[0] % 3
    two = env.step(one)[0] % 3
    counts = np.zeros((3, 3, 3))
    np.add.at(counts, (cue, one, two), 1)
    expected = 6000 / 27
    assert ((counts - expected) ** 2 / expected).sum() < 54.1  # χ², 26 degrees of freedom, p = 0.001


@pytest.mark.parametrize(("k", "n"), [(2, 1), (4, 8), (5, 3)])
def test_known_returns(k, n):
    env = RecallVector(500, num_symbols=k, delay=n)
    known = env.known_returns()
    assert (known.random, known.memoryless, known.optimal) == pytest.approx((2 / k, 1 + 1 / k, 2))
    np.testing.assert_allclose(play(env, Remembering(k), 3), known.optimal)
    generator = np.random.default_rng(0)
    for policy, expected in (
        (lambda observations, t: generator.integers(k, size=500), known.random),
        (lambda observations, t: observations % k, known.memoryless),  # repeats, and answers 0
    ):
        returns = play(env, policy, 20)
        assert abs(returns.mean() - expected) < 4 * returns.std() / math.sqrt(len(returns))


def test_no_function_of_the_observation_collects_more_than_the_memoryless_bound():
    """k = n = 2: all 2⁵ deterministic policies in all four episodes; a random one's return is a mean of theirs."""
    known, best = RecallVector(1, 2, 2).known_returns(), 0.0
    for policy in itertools.product(range(2), repeat=5):
        total = 0.0
        for cue, later in itertools.product(range(2), repeat=2):
            total += (policy[cue] == cue) / 2 + (policy[2 + later] == later) / 2 + (policy[4] == cue)
        best = max(best, total / 4)
    assert best == known.memoryless == 1.5


def test_time_limits_cut_what_can_be_collected():
    """Of n = 4 echoes two are left under a limit of 2, all but no answer under 4."""
    env = gym.make("pg/Recall-v0", num_symbols=2, delay=4, max_episode_steps=2)
    known = pg_envs.known_returns(env)
    assert (known.random, known.memoryless, known.optimal) == (0.25, 0.5, 0.5)
    assert Recall(num_symbols=2, delay=4).known_returns(4) == pg_envs.KnownReturns(0.5, 1.0, memoryless=1.0)
    assert Recall(num_symbols=2, delay=4).known_returns(5) == Recall(num_symbols=2, delay=4).known_returns()
    env = gym.make_vec("pg/Recall-v0", 2, delay=4, max_episode_steps=2)
    env.reset(seed=0)
    env.step([0, 0])
    assert env.step([0, 0])[3].all()


@pytest.mark.parametrize("mode", list(AutoresetMode))
def test_a_row_is_the_single_environment_with_its_seed(mode):
    seeds, delay = [4, 90, 17], 3
    env = gym.make_vec("pg/Recall-v0", 3, delay=delay, autoreset_mode=mode)
    singles = [gym.make("pg/Recall-v0", delay=delay) for _ in seeds]
    env.reset(seed=seeds)
    expected = [[single.reset(seed=seed)[0] for single, seed in zip(singles, seeds, strict=True)]]
    actions = np.random.default_rng(0).integers(4, size=(700, 3))
    for step, action in enumerate(actions):
        if mode is AutoresetMode.NEXT_STEP and step % (delay + 2) == delay + 1:
            observations, rewards, terminated, *_ = env.step(action)
            assert not rewards.any() and not terminated.any()
            np.testing.assert_array_equal(observations, expected[-1])
            continue
        observations, rewards, terminated, _, infos = env.step(action)
        ends = [single.step(int(a)) for single, a in zip(singles, action, strict=True)]
        np.testing.assert_array_equal(rewards, [end[1] for end in ends])
        np.testing.assert_array_equal(terminated, [end[2] for end in ends])
        expected.append([end[0] for end in ends])
        if terminated.all():
            expected.append([single.reset()[0] for single in singles])
            if mode is AutoresetMode.SAME_STEP:
                np.testing.assert_array_equal(infos["final_obs"], expected[-2])
            if mode is AutoresetMode.DISABLED:
                observations = env.reset(options={"reset_mask": terminated})[0]
            if mode is AutoresetMode.NEXT_STEP:
                np.testing.assert_array_equal(observations, expected[-2])
                continue
        np.testing.assert_array_equal(observations, expected[-1])


@pytest.mark.parametrize(("name", "value"), [("num_symbols", 1), ("delay", 0)])
def test_arguments_are_checked(name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least .*got {value}"):
        Recall(**{name: value})
