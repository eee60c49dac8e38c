"""The arms of normal bandits are drawn, kept, paid and moved as said."""

import math

import numpy as np
import pg_envs
import pytest
from gymnasium.vector import AutoresetMode
from pg_envs.bandits.gaussian import (
    GaussianBandit,
    GaussianBanditVector,
    NonStationaryBandit,
    NonStationaryBanditVector,
    expected_maximum,
)


def pull(env, arm, times):
    """Rewards of pulling one arm in every row, [times, B]."""
    return np.stack([env.step(np.full(env.num_envs, arm))[1] for _ in range(times)])


def test_arms_are_drawn_by_the_seed_and_kept_without_one():
    env = GaussianBanditVector(2000, 10)
    env.reset(seed=0)
    arms = env.expected_rewards()
    assert abs(arms.mean()) < 4 / math.sqrt(20_000)
    assert abs(arms.var() - 1) < 4 * math.sqrt(2 / 20_000)
    best = arms.max(axis=1)
    assert abs(best.mean() - env.known_returns().optimal) < 4 * best.std() / math.sqrt(2000)  # standard error 0.013
    env.reset()
    pull(env, 0, 1)
    np.testing.assert_array_equal(env.expected_rewards(), arms)
    env.reset(seed=1)  # row i is seeded with 1 + i: the arms of the next row
    np.testing.assert_array_equal(env.expected_rewards()[:-1], arms[1:])
    single = GaussianBandit()
    single.reset(seed=3)
    np.testing.assert_array_equal(single.expected_rewards(), arms[3])


def test_gaussian_rewards_scatter_around_their_arms():
    env = GaussianBanditVector(50, num_arms=3, reward_std=2.0)
    env.reset(seed=0)
    for arm in range(3):
        noise = pull(env, arm, 400) - env.expected_rewards()[:, arm]
        assert np.abs(noise.mean(axis=0)).max() < 4.5 * 2 / math.sqrt(400)  # in every row
        assert abs(noise.std() - 2) < 4 * 2 / math.sqrt(2 * noise.size)


def test_given_means_are_every_rows():
    env = GaussianBanditVector(3, means=(-1.0, 2.5), reward_std=0.0)
    env.reset(seed=0)
    assert pull(env, 1, 2).tolist() == [[2.5] * 3] * 2 and pull(env, 0, 1).tolist() == [[-1.0] * 3]
    assert env.known_returns() == pg_envs.KnownReturns(random=0.75, optimal=2.5)
    assert GaussianBanditVector(3, 7).known_returns().random == 0.0


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, 0.0),
        (2, 1 / math.sqrt(math.pi)),
        (3, 1.5 / math.sqrt(math.pi)),
        (5, 5 / (4 * math.sqrt(math.pi)) * (1 + 6 / math.pi * math.asin(1 / 3))),
        (10, 1.53875273083517),  # tables of normal order statistics
    ],
)
def test_expected_maximum_of_normals(count, expected):
    assert expected_maximum(count) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_arms": 0}, "num_arms.*got 0"),
        ({"means": ()}, "num_arms.*got 0"),
        ({"means": (0.0, math.inf)}, "means"),
        ({"means": ((0.0, 1.0),)}, "means"),
        ({"reward_std": -1.0}, "reward_std.*-1.0"),
        ({"reward_std": math.nan}, "reward_std.*nan"),
    ],
)
def test_gaussian_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        GaussianBandit(**arguments)


# -- non-stationary --------------------------------------------------------------------------------------------------
def test_arms_walk_by_one_step_a_pull():
    env = NonStationaryBanditVector(400, num_arms=10, walk_std=0.1, reward_std=0.0)
    env.reset(seed=0)
    path = [env.expected_rewards()]
    for arm in (0, 3, 3, 9, 1):
        assert (pull(env, arm, 1)[0] == path[-1][:, arm]).all()  # paid before the arms move
        path.append(env.expected_rewards())
    assert not path[0].any()
    steps = np.diff(np.stack(path), axis=0)  # [5, 400, 10]
    assert abs(steps.mean()) < 4 * 0.1 / math.sqrt(steps.size)
    assert abs(steps.std() - 0.1) < 4 * 0.1 / math.sqrt(2 * steps.size)
    correlations = np.corrcoef(steps.reshape(-1, 10), rowvar=False) - np.eye(10)
    assert np.abs(correlations).max() < 4.5 / math.sqrt(2000)  # arms walk independently
    assert abs(path[-1].var() - 5 * 0.01) < 4 * 0.05 * math.sqrt(2 / 4000)  # the variance grows with the pulls


def test_reward_noise_is_independent_of_the_walk():
    env = NonStationaryBanditVector(2000, num_arms=2, walk_std=1.0, reward_std=3.0)
    env.reset(seed=0)
    rewards = pull(env, 0, 1)[0]
    assert abs(rewards.std() - 3) < 4 * 3 / math.sqrt(4000)
    correlation = np.corrcoef(rewards, env.expected_rewards()[:, 0])[0, 1]
    assert abs(correlation) < 4 / math.sqrt(2000)


def test_the_walk_goes_on_over_resets_and_starts_over_with_a_seed():
    env = NonStationaryBandit(walk_std=0.5)
    env.reset(seed=0)
    env.step(0)
    walked = env.expected_rewards()
    env.reset()
    assert walked.all() and (env.expected_rewards() == walked).all()
    env.reset(seed=0)
    assert not env.expected_rewards().any()
    env.step(9)
    assert (env.expected_rewards() == walked).all()  # the same walk, whatever was pulled


def test_arms_rest_while_a_row_waits_for_its_reset():
    env = NonStationaryBanditVector(2, autoreset_mode=AutoresetMode.NEXT_STEP)
    env.reset(seed=0)
    pull(env, 0, 1)
    walked = env.expected_rewards()
    assert pull(env, 0, 1).tolist() == [[0.0, 0.0]]  # the reset
    np.testing.assert_array_equal(env.expected_rewards(), walked)
    pull(env, 0, 1)
    assert (env.expected_rewards() != walked).all()


def test_non_stationary_arguments_and_what_is_known():
    assert NonStationaryBandit().known_returns() == pg_envs.KnownReturns(random=0.0, optimal=None)
    for name in ("walk_std", "reward_std"):
        with pytest.raises(ValueError, match=f"{name}.*-0.5"):
            NonStationaryBandit(**{name: -0.5})
