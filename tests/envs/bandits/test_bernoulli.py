"""Bandits pay what they say, draw what they say, and know what can be earned."""

import math
import warnings

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
from gymnasium.utils import seeding
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from pg_envs.bandits.bernoulli import BernoulliBandit, BernoulliBanditVector, ContextualBandit, ContextualBanditVector

IDS = [
    "pg/BernoulliBandit-v0",
    "pg/TwoArmedBandit-v0",
    "pg/TwoArmedBanditClose-v0",
    "pg/ContextualBandit-v0",
    "pg/GaussianBandit-v0",
    "pg/NonStationaryBandit-v0",
]


def pull(env, arm, times):
    """Rewards of pulling one arm in every row, [times, B]."""
    return np.stack([env.step(np.full(env.num_envs, arm))[1] for _ in range(times)])


@pytest.mark.parametrize("name", IDS)
def test_gymnasium_has_nothing_to_object_to(name):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(name).unwrapped)


@pytest.mark.parametrize("name", IDS)
def test_a_pull_is_an_episode(name):
    env = gym.make_vec(name, 5)
    assert isinstance(env, pg_envs.RowsVectorEnv) and env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    observations, _ = env.reset(seed=0)
    for _ in range(3):
        following, _, terminated, truncated, infos = env.step(env.action_space.sample())
        assert terminated.all() and not truncated.any() and infos["_final_obs"].all()
        np.testing.assert_array_equal(infos["final_obs"], observations)  # nothing moves within a pull
        assert following in env.observation_space
        observations = following


@pytest.mark.parametrize("name", IDS)
def test_a_row_is_the_single_environment_with_its_seed(name):
    seeds, steps = [4, 90, 17], 700  # more pulls than are drawn ahead
    env = gym.make_vec(name, len(seeds))
    actions = np.random.default_rng(0).integers(env.single_action_space.n, size=(steps, len(seeds)))
    observations, _ = env.reset(seed=seeds)
    lived = [[] for _ in seeds]
    for action in actions:
        following, rewards, *_ = env.step(action)
        for row in range(len(seeds)):
            lived[row].append((int(observations[row]), float(rewards[row])))
        observations = following
    for row, seed in enumerate(seeds):
        single = gym.make(name)
        observation, _ = single.reset(seed=seed)
        for step in range(steps):
            _, reward, terminated, truncated, _ = single.step(int(actions[step, row]))
            assert terminated and not truncated
            assert (int(observation), reward) == lived[row][step]
            observation, _ = single.reset()


def test_the_figures_arms_are_registered():
    assert gym.make("pg/TwoArmedBandit-v0").unwrapped.expected_rewards().tolist() == [0.6, 0.4]
    assert gym.make("pg/TwoArmedBanditClose-v0").unwrapped.expected_rewards().tolist() == [0.96, 0.94]
    custom = gym.make("pg/BernoulliBandit-v0", probabilities=(0.1, 0.2, 0.3))
    assert custom.action_space.n == 3 and pg_envs.known_returns(custom) == pg_envs.KnownReturns(
        random=pytest.approx(0.2), optimal=0.3
    )


# -- Bernoulli -------------------------------------------------------------------------------------------------------
def test_bernoulli_rewards_compare_the_rows_uniform_number_with_the_arms_probability():
    env = BernoulliBandit(probabilities=(0.6, 0.4))
    env.reset(seed=3)
    uniforms = seeding.np_random(3)[0].random(40)
    rewards = [env.step(step % 2)[1] for step in range(40) if env.reset()]
    assert rewards == [float(number < (0.6, 0.4)[step % 2]) for step, number in enumerate(uniforms)]


def test_bernoulli_arms_pay_with_their_probabilities():
    env = BernoulliBanditVector(500, (0.96, 0.5, 0.0, 1.0))
    env.reset(seed=0)
    for arm, probability in enumerate(env.probabilities):
        rewards = pull(env, arm, 40)
        error = math.sqrt(probability * (1 - probability) / rewards.size)  # 0.0035 for p = 0.5
        assert abs(rewards.mean() - probability) <= 4 * error
        assert set(np.unique(rewards)) <= {0.0, 1.0}
    np.testing.assert_array_equal(env.expected_rewards(), np.tile([0.96, 0.5, 0.0, 1.0], (500, 1)))


@pytest.mark.parametrize("probabilities", [(0.5, 1.1), (-0.1, 0.5), (0.5, math.nan), (), ((0.5, 0.5),), 0.5])
def test_bernoulli_probabilities_are_checked(probabilities):
    with pytest.raises(ValueError, match="^probabilities"):
        BernoulliBandit(probabilities=probabilities)


# -- contextual ------------------------------------------------------------------------------------------------------
def test_contexts_are_uniform_and_pay_by_their_own_table():
    table = ((0.9, 0.2), (0.3, 0.7), (0.5, 0.5))
    env = ContextualBanditVector(1000, table)
    contexts, _ = env.reset(seed=0)
    seen, paid = np.zeros((3, 2)), np.zeros((3, 2))
    arms = np.arange(1000) % 2
    for _ in range(60):
        np.testing.assert_array_equal(env.expected_rewards(), np.array(table)[contexts])
        following, rewards, *_ = env.step(arms)
        np.add.at(seen, (contexts, arms), 1)
        np.add.at(paid, (contexts, arms), rewards)
        contexts = following
    share = seen.sum(axis=1) / seen.sum()
    assert np.abs(share - 1 / 3).max() < 4 * math.sqrt(2 / 9 / seen.sum())  # standard error 0.0019
    error = np.sqrt(np.array(table) * (1 - np.array(table)) / seen)  # about 0.005 each
    assert (np.abs(paid / seen - table) < 4 * error).all()


def test_the_next_context_does_not_depend_on_the_last():
    env = ContextualBanditVector(3000)
    contexts, _ = env.reset(seed=0)
    following = env.step(np.zeros(3000, int))[0]
    pairs = np.zeros((3, 3))
    np.add.at(pairs, (contexts, following), 1)
    expected = 3000 / 9
    assert ((pairs - expected) ** 2 / expected).sum() < 26.1  # χ², 8 degrees of freedom, p = 0.001


def test_a_masked_reset_draws_new_contexts_for_its_rows_alone():
    env = ContextualBanditVector(300)
    contexts, _ = env.reset(seed=0)
    mask = np.arange(300) >= 100
    after, _ = env.reset(options={"reset_mask": mask})
    np.testing.assert_array_equal(after[:100], contexts[:100])
    assert 90 < (after != contexts)[mask].sum() < 175  # two in three of 200 differ: 133 ± 6.7


def test_the_best_arm_depends_on_the_context():
    env = ContextualBandit()
    table = env.rows.probabilities
    assert table.argmax(axis=1).tolist() == [0, 1, 2]
    assert pg_envs.known_returns(env) == pg_envs.KnownReturns(random=pytest.approx(0.5), optimal=pytest.approx(0.9))
    assert table.mean(axis=0) == pytest.approx([0.5] * 3)  # a policy that does not look earns no more than chance
    uneven = ContextualBandit(probabilities=((0.8, 0.6), (0.1, 0.3)))
    assert pg_envs.known_returns(uneven) == pg_envs.KnownReturns(pytest.approx(0.45), pytest.approx(0.55))


@pytest.mark.parametrize("probabilities", [(0.5, 0.5), ((0.5, 0.5), (0.5,)), ((0.5, 2.0),), ((),)])
def test_contextual_tables_are_checked(probabilities):
    with pytest.raises(ValueError, match="^probabilities"):
        ContextualBandit(probabilities=probabilities)
