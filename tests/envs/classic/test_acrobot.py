"""The links' equations by hand, their integration, and where the motion ends."""

import numpy as np
import pytest
from pg_envs.classic import acrobot
from pg_envs.classic.acrobot import AcrobotVector, derivatives, runge_kutta, squared, wrapped
from scipy.integrate import solve_ivp
from support.bugs import Bug, seeded, with_result


def energy(state):
    """Kinetic and potential energy of two links of 1 kg, 1 m and 1 kg m² about their centres."""
    angle, bend, spin, bending = state
    both, total = angle + bend, spin + bending
    speed = 0.25 * spin**2 + spin**2 + 0.25 * total**2 + spin * total * np.cos(bend)
    height = -0.5 * np.cos(angle) - np.cos(angle) - 0.5 * np.cos(both)
    return 0.5 * (speed + spin**2 + total**2) + 9.8 * height


def test_energy_is_kept_without_torque_and_changed_by_it():
    """dE/dt = τ θ̇₂, which holds if all terms of the equations are right."""
    states = np.random.default_rng(0).uniform(-2, 2, (4, 50))
    for torque in (-1.0, 0.0, 1.0):
        changes, h = derivatives(states, np.full(50, torque)), 1e-6
        power = (energy(states + h * changes) - energy(states - h * changes)) / (2 * h)
        np.testing.assert_allclose(power, torque * states[3], atol=1e-7)


def test_a_step_is_of_order_4():
    """Halving the step's length leaves a 32nd of its error; a whole step is near scipy's solution."""
    state = np.random.default_rng(1).uniform(-1, 1, (4, 1))
    torque = np.ones(1)
    errors = []
    for length in (0.2, 0.1):
        solved = solve_ivp(
            lambda _, y: derivatives(y[:, None], torque)[:, 0], (0, length), state[:, 0], rtol=1e-12, atol=1e-12
        ).y[:, -1]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(acrobot, "DT", length)
            errors.append(np.abs(runge_kutta(state, torque)[:, 0] - solved).max())
    assert errors[0] < 1e-3 and 20 < errors[0] / errors[1] < 50


@pytest.mark.parametrize(("angle", "bend", "over"), [(np.pi, 0.0, True), (0.0, 0.0, False), (np.pi / 2, 1.0, False)])
def test_where_an_episode_ends(angle, bend, over):
    env = AcrobotVector(2)
    env.reset(seed=0)
    env.state[:] = np.array([angle, bend, 0, 0])[:, None]
    _, rewards, terminated, truncated, _ = env.step([0, 2])
    assert terminated.tolist() == [over] * 2 and rewards.tolist() == [0.0 if over else -1.0] * 2
    assert not truncated.any()


def test_speeds_are_bounded():
    env = AcrobotVector(2)
    env.reset(seed=0)
    env.state[:] = np.array([[0, 0], [0, 0], [100, -100], [100, -100]])
    env.step([0, 0])
    np.testing.assert_allclose(np.abs(env.state[2:]), [[4 * np.pi] * 2, [9 * np.pi] * 2])
    assert (np.abs(env.state[:2]) <= np.pi).all()


def test_angles_are_wrapped_and_squares_rounded_as_those_of_single_numbers():
    turn = 2 * np.pi
    np.testing.assert_allclose(wrapped(np.array([4.0, -4.0, -10.0, 1.0])), [4 - turn, turn - 4, 2 * turn - 10, 1.0])
    values = np.random.default_rng(0).uniform(-9, 9, (3, 4000))
    np.testing.assert_array_equal(squared(values).ravel(), [value**2 for value in values.ravel()])


def test_links_hang_at_first():
    env = AcrobotVector(300)
    seen, _ = env.reset(seed=0)
    assert seen.shape == (300, 6) and (np.abs(env.state) <= 0.1).all() and np.abs(env.state).max(1).min() > 0.09
    np.testing.assert_allclose(seen[:, [0, 2]], np.cos(env.state[:2].T), rtol=1e-6)
    np.testing.assert_allclose(seen[:, [1, 3]], np.sin(env.state[:2].T), rtol=1e-6)
    np.testing.assert_allclose(seen[:, 4:], env.state[2:].T)


def _euler(state, torque):
    return state + acrobot.DT * derivatives(state, torque)


def _without_a_term(state, torque):
    """The equations of the paper of 1996, without −½ θ̇₁² sin θ₂."""
    changes = ORIGINAL["derivatives"](state, torque)
    changes[3] += 0.5 * state[2] ** 2 * np.sin(state[1]) / (1.25 - (1.25 + 0.5 * np.cos(state[1])) ** 2 / 4)
    return changes


ORIGINAL = {"derivatives": derivatives}
test_seeded_bugs = seeded(
    Bug("Euler's rule", runge_kutta, _euler, [test_a_step_is_of_order_4]),
    Bug("a term is missing", derivatives, _without_a_term, [test_energy_is_kept_without_torque_and_changed_by_it]),
    Bug(
        "squares of arrays",
        squared,
        with_result(squared, lambda squares: np.square(np.sqrt(squares))),
        [test_angles_are_wrapped_and_squares_rounded_as_those_of_single_numbers],
    ),
    Bug("angles go on", wrapped, lambda angles: angles, [test_speeds_are_bounded]),
)
