"""The cars' equations by hand, their walls and goals, and what a car that swings reaches."""

import gymnasium as gym
import numpy as np
import pytest
from pg_envs.classic import mountain_car, mountain_car_continuous
from pg_envs.classic.mountain_car import MountainCarVector
from pg_envs.classic.mountain_car_continuous import MountainCarContinuousVector, driven
from support.bugs import Bug, seeded, with_arguments, with_result

FORMS = {"discrete": MountainCarVector, "continuous": MountainCarContinuousVector}
both = pytest.mark.parametrize("form", FORMS)
PUSHES = {"discrete": np.array([0, 1, 2]), "continuous": np.array([[-1.0], [0.0], [1.0]], np.float32)}
ENGINES = {"discrete": 0.001, "continuous": 0.0015}


def at(form, position, velocity, **arguments):
    env = FORMS[form](3, **arguments)
    env.reset(seed=0)
    env.state[:] = np.array([[position], [velocity]])
    return env


@both
def test_a_step_by_hand(form):
    env = at(form, -0.5, 0.01)
    seen, rewards, terminated, *_ = env.step(PUSHES[form])
    velocity = 0.01 + np.array([-1, 0, 1]) * ENGINES[form] - 0.0025 * np.cos(-1.5)
    np.testing.assert_allclose(seen, np.stack([-0.5 + velocity, velocity], axis=1), rtol=1e-6)
    expected = [-1.0] * 3 if form == "discrete" else [-0.1, 0.0, -0.1]
    np.testing.assert_allclose(rewards, expected, rtol=1e-12)
    assert not terminated.any()


@both
def test_the_wall_takes_the_speed(form):
    env = at(form, -1.19, -0.05)
    seen, *_ = env.step(PUSHES[form])
    np.testing.assert_allclose(seen, [[-1.2, 0.0]] * 3, rtol=1e-6)


@both
def test_speeds_are_bounded(form):
    for sign in (-1, 1):
        seen, *_ = at(form, 0.0, 0.07 * sign).step(PUSHES[form][[1 + sign] * 3])
        assert (np.abs(seen[:, 1]) <= np.float32(0.07)).all()
    np.testing.assert_allclose(at(form, -0.5, 0.07).step(PUSHES[form][[2] * 3])[0][:, 1], 0.07)


@pytest.mark.parametrize(("form", "goal"), [("discrete", 0.5), ("continuous", 0.45)])
def test_where_an_episode_ends(form, goal):
    for short, over in ((0.03, False), (0.01, True)):
        _, rewards, terminated, *_ = at(form, goal - short, 0.02).step(PUSHES[form][[1] * 3])
        assert terminated.tolist() == [over] * 3
        assert rewards[0] == (-1.0 if form == "discrete" else 100.0 * over)
    *_, terminated, _, _ = at(form, goal - 0.01, 0.02, goal_velocity=0.05).step(PUSHES[form])
    assert not terminated.any()


@pytest.mark.parametrize(("form", "name"), [("discrete", "MountainCar-v0"), ("continuous", "MountainCarContinuous-v0")])
def test_a_car_that_swings_reaches_the_goal_and_one_that_only_pushes_does_not(form, name):
    for swings in (True, False):
        env = gym.make_vec(f"pg/{name}", 3)
        seen, reached = env.reset(seed=0)[0], np.zeros(3, bool)
        for _ in range(199):
            way = np.sign(seen[:, 1]) if swings else np.ones(3)
            seen, _, terminated, *_ = env.step(way[:, None] if form == "continuous" else 1 + way.astype(np.int64))
            reached |= terminated
        assert reached.all() == reached.any() == swings


@both
def test_cars_start_at_rest_near_the_bottom(form):
    env = FORMS[form](300)
    seen, _ = env.reset(seed=0)
    assert (seen[:, 1] == 0).all() and seen[:, 0].min() < -0.59 and seen[:, 0].max() > -0.41
    assert seen[:, 0].min() >= -0.6 and seen[:, 0].max() <= -0.4


def test_fuel_is_counted_as_it_is_given():
    env = at("continuous", -0.5, 0.0)
    seen, rewards, *_ = env.step(np.array([[1.0], [2.0], [-3.0]], np.float32))
    np.testing.assert_allclose(rewards, [-0.1, -0.4, -0.9], rtol=1e-12)
    np.testing.assert_allclose(seen[0], seen[1], rtol=1e-6)
    assert seen[2, 1] < seen[0, 1]


def _backwards(state, force):
    position, velocity = ORIGINAL["driven"](state, force)
    return (state[0] + state[1]).clip(-1.2, 0.6), velocity


ORIGINAL = {"driven": driven}
test_seeded_bugs = seeded(
    Bug("the position moves first", driven, _backwards, [(test_a_step_by_hand, "continuous")]),
    Bug(
        "fuel is clipped",
        MountainCarContinuousVector._move,
        with_arguments(MountainCarContinuousVector._move, actions=lambda actions: actions.clip(-1, 1)),
        [test_fuel_is_counted_as_it_is_given],
    ),
    Bug(
        "the wall throws back",
        driven,
        with_result(driven, lambda moved: (moved[0], np.where(moved[1] == 0, 0.01, moved[1]))),
        [(test_the_wall_takes_the_speed, "continuous")],
    ),
    Bug("a near goal", (mountain_car, "GOAL"), 0.45, [test_where_an_episode_ends]),
    Bug("a far goal", (mountain_car_continuous, "GOAL"), 0.5, [test_where_an_episode_ends]),
)
