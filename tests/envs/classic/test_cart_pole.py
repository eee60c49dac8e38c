"""The pole's equations by hand, and that it can be kept up."""

import math

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
from pg_envs.classic import cart_pole
from pg_envs.classic.cart_pole import CartPoleVector, derivatives
from support.bugs import Bug, seeded, with_result


def at(*state):
    """Two rows in the same state, before their first step."""
    env = CartPoleVector(2, max_episode_steps=2)
    env.reset(seed=0)
    env.state[:] = np.array(state)[:, None]
    return env


def test_a_step_by_hand():
    """From rest and upright, a force F gives a = F/1.1, θ̈ = −a / (½ (4/3 − 1/11)) and ẍ = a − θ̈/22."""
    env = at(0.0, 0.0, 0.0, 0.0)
    _, rewards, terminated, *_ = env.step([0, 1])
    a = np.array([-10, 10]) / 1.1
    spin = -a / (0.5 * (4 / 3 - 1 / 11))
    np.testing.assert_allclose(env.state, 0.02 * np.stack([0 * a, a - spin / 22, 0 * a, spin]), atol=1e-15)
    assert rewards.tolist() == [1, 1] and not terminated.any()


def test_places_move_with_the_old_speeds():
    env = at(0.0, 1.0, 0.0, 0.5)
    env.step([0, 1])
    np.testing.assert_allclose(env.state[0], 0.02)
    np.testing.assert_allclose(env.state[2], 0.01)


def test_a_pole_without_force_follows_lagrange():
    """The moment of inertia about the hinge and the centre of mass give θ̈ and ẍ of the free system, solved as 2 × 2."""
    angle, spin = 0.15, 0.7
    m, total, half, g = 0.1, 1.1, 0.5, 9.8
    mass = np.array([[total, m * half * math.cos(angle)], [m * half * math.cos(angle), m * half**2 * 4 / 3]])
    pushes = np.array([m * half * spin**2 * math.sin(angle), m * g * half * math.sin(angle)])
    expected = np.linalg.solve(mass, pushes)
    found = derivatives(np.array([[0.3], [0.2], [angle], [spin]]), np.zeros(1))
    np.testing.assert_allclose(found[:, 0], [0.2, expected[0], spin, expected[1]], rtol=1e-12)


@pytest.mark.parametrize(
    ("state", "fallen"),
    [
        ((2.39, 0, 0, 0), False),
        ((2.41, 0, 0, 0), True),
        ((-2.41, 0, 0, 0), True),
        ((0, 0, math.radians(11.99), 0), False),
        ((0, 0, math.radians(12.01), 0), True),
        ((0, 0, -math.radians(12.01), 0), True),
    ],
)
@pytest.mark.parametrize(("barto", "rewards"), [(False, (1, 1)), (True, (0, -1))])
def test_where_an_episode_ends(state, fallen, barto, rewards):
    env = at(*state)
    env.sutton_barto_reward = barto
    _, reward, terminated, *_ = env.step([0, 1])
    assert terminated.tolist() == [fallen] * 2 and reward.tolist() == [rewards[fallen]] * 2


def test_linear_feedback_reaches_the_best_return():
    env = gym.make_vec("pg/CartPole-v1", 1000)
    seen, _ = env.reset(seed=0)
    for step in range(500):
        seen, rewards, terminated, truncated, _ = env.step((seen @ [0.05, 0.2, 1, 0.5] > 0).astype(np.int64))
        assert (rewards == 1).all() and not terminated.any() and (truncated == (step == 499)).all()
    assert pg_envs.known_returns(env).optimal == 500


def test_known_returns_follow_the_arguments():
    assert CartPoleVector(1).known_returns() == pg_envs.KnownReturns()
    assert CartPoleVector(1).known_returns(30).optimal == 30
    for env in (gym.make("pg/CartPole-v1", sutton_barto_reward=True), CartPoleVector(1, sutton_barto_reward=True)):
        assert pg_envs.known_returns(env).optimal == 0


def _with_the_new_speeds(self, actions, rows):
    force = cart_pole.FORCES.take(self._checked(actions, rows))
    changes = derivatives(self.state, force)
    self.state[1::2] += cart_pole.TAU * changes[1::2]
    self.state[::2] += cart_pole.TAU * self.state[1::2]
    fallen = (np.abs(self.state[0]) > cart_pole.FARTHEST) | (np.abs(self.state[2]) > cart_pole.STEEPEST)
    return np.ones(len(rows)), fallen


def _with_point_mass(changes):
    changes[3] *= 1.3
    return changes


test_seeded_bugs = seeded(
    Bug(
        "the speeds come first",
        CartPoleVector._move,
        _with_the_new_speeds,
        [test_places_move_with_the_old_speeds, test_a_step_by_hand],
    ),
    Bug(
        "another moment of inertia",
        derivatives,
        with_result(derivatives, _with_point_mass),
        [test_a_pole_without_force_follows_lagrange, test_a_step_by_hand],
    ),
    Bug("in degrees", (cart_pole, "STEEPEST"), 0.24, [test_where_an_episode_ends]),
)
