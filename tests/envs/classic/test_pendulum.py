"""The rod's equations by hand, its rewards, and its starts."""

import numpy as np
import pytest
from pg_envs.classic.pendulum import PendulumVector
from support.bugs import Bug, seeded, with_arguments, with_result


def at(angle, spin, **arguments):
    env = PendulumVector(3, **arguments)
    env.reset(seed=0)
    env.state[:] = np.array([[angle], [spin]])
    return env


@pytest.mark.parametrize("g", [10.0, 1.6])
def test_a_step_by_hand(g):
    env = at(0.5, 1.0, g=g)
    seen, rewards, terminated, truncated, _ = env.step([[-2.0], [0.0], [1.0]])
    torque = np.array([-2.0, 0.0, 1.0])
    spin = 1.0 + (1.5 * g * np.sin(0.5) + 3 * torque) * 0.05
    angle = 0.5 + 0.05 * spin
    np.testing.assert_allclose(seen, np.stack([np.cos(angle), np.sin(angle), spin], axis=1), rtol=1e-6)
    np.testing.assert_allclose(rewards, -(0.25 + 0.1 + 0.001 * torque**2), rtol=1e-8)
    assert not terminated.any() and not truncated.any()


@pytest.mark.parametrize(("angle", "off"), [(3.0, 3.0), (4.0, 4.0 - 2 * np.pi), (-3.5, 2 * np.pi - 3.5), (6.3, 0.0168)])
def test_the_angle_of_a_reward_is_the_one_to_the_top(angle, off):
    _, rewards, *_ = at(angle, 0.0).step(np.zeros((3, 1)))
    np.testing.assert_allclose(rewards, -(off**2), rtol=2e-3)


def test_torques_and_speeds_are_bounded():
    env = at(0.1, 7.9)
    env.step([[2.0], [50.0], [-50.0]])
    assert env.state[1].tolist()[:2] == [8.0, 8.0] and env.state[1, 2] == pytest.approx(
        7.9 + (15 * np.sin(0.1) - 6) * 0.05
    )
    _, rewards, *_ = at(0.0, 0.0).step([[2.0], [50.0], [-50.0]])
    np.testing.assert_allclose(rewards, -0.004, rtol=1e-6)


def test_rods_start_anywhere():
    env = PendulumVector(500)
    seen, _ = env.reset(seed=0)
    assert np.abs(env.state[0]).max() <= np.pi and np.abs(env.state[1]).max() <= 1
    assert (env.state.min(1) < [-3.1, -0.98]).all() and (env.state.max(1) > [3.1, 0.98]).all()
    np.testing.assert_allclose(seen, np.stack([np.cos(env.state[0]), np.sin(env.state[0]), env.state[1]], 1), rtol=1e-6)


def _of_the_state_after(self, actions, rows):
    ORIGINAL["move"](self, actions, rows)
    return ORIGINAL["move"](self, actions, rows)


ORIGINAL = {"move": PendulumVector._move}
test_seeded_bugs = seeded(
    Bug("two steps at once", PendulumVector._move, _of_the_state_after, [test_a_step_by_hand]),
    Bug(
        "actions are not clipped",
        PendulumVector._checked,
        with_result(PendulumVector._checked, lambda actions: np.where(actions > 2, -actions, actions)),
        [test_torques_and_speeds_are_bounded],
    ),
    Bug(
        "gravity is fixed",
        PendulumVector.__init__,
        with_arguments(PendulumVector.__init__, g=lambda g: 10.0),
        [test_a_step_by_hand],
    ),
)
