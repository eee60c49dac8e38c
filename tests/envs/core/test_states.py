"""The state of our environments: what a class must say, and what is refused."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode
from pg_envs.core.blocks import Blocks, uniform
from pg_envs.core.rows import RowEnv, RowsVectorEnv
from pg_envs.core.states import RowsState
from support.bugs import Bug, seeded
from support.states import Player, through_disk


class StepsVector(RowsVectorEnv):
    """Counts steps, by random numbers."""

    changing = ("uniforms", "count")

    def __init__(self, num_envs=1, **form):
        super().__init__(num_envs, Discrete(1000), Discrete(2), **form)
        self.count = np.zeros(num_envs, np.int64)

    def _start(self, rows):
        self.count[rows] = 0

    def _move(self, actions, rows):
        self.count[rows] += 1 + (5 * self.uniforms.take(rows)).astype(np.int64)
        return self.count[rows].astype(float), self.count[rows] > 20

    def _observe(self):
        return self.count.copy()


class Steps(RowEnv):
    vector_form = StepsVector


class Silent(StepsVector):
    """Dynamics of its own, and it does not say what they change."""

    def _move(self, actions, rows):
        self.last = actions
        return super()._move(actions, rows)


class Spoken(Silent):
    changing = ("uniforms", "count", "last")


class Bare(RowsVectorEnv):
    def _start(self, rows):
        pass

    def _move(self, actions, rows):
        return np.zeros(len(rows)), np.zeros(len(rows), bool)

    def _observe(self):
        return np.zeros(self.num_envs, np.int64)


def test_a_class_that_does_not_say_what_its_dynamics_change_has_no_state():
    for env in (Silent(2), Bare(2, Discrete(1), Discrete(1))):
        env.reset(seed=0)
        with pytest.raises(NotImplementedError, match=f"{type(env).__name__}.*changing"):
            env.get_state()
    spoken = Spoken(2)
    spoken.reset(seed=0)
    spoken.step(np.zeros(2, np.int64))
    assert (spoken.get_state()["last"] == 0).all()


def test_rows_go_on_beyond_the_numbers_that_were_drawn_ahead():
    first, second = Player(StepsVector(3), 1), Player(StepsVector(3), 2)
    first.play(500, seed=3)
    state = through_disk(first.env.get_state())
    later = first.play(40, seed=4)
    second.env.set_state(state)
    assert second.play(40, seed=4) == later


def test_one_row_goes_on_with_a_generator_that_it_shares():
    first, second = Steps(), Steps()
    first.reset(seed=1), second.reset(seed=2)
    for _ in range(505):
        first.step(0)
    second.set_state(through_disk(first.get_state()))
    assert second.np_random is second.rows.generators[0]
    assert second.np_random_seed == first.np_random_seed == 1
    assert [first.step(0)[0] for _ in range(20)] == [second.step(0)[0] for _ in range(20)]
    assert first.np_random.random() == second.np_random.random()


def test_an_environment_that_was_never_reset_can_be_set():
    first, second = Player(StepsVector(3), 1), StepsVector(3)
    first.play(4, seed=3)
    second.set_state(first.env.get_state())
    assert (second.step(np.zeros(3))[0] == first.env.step(np.zeros(3))[0]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 2}, "version 2"),
        ({"generators": []}, "0 rows"),
        ({"count": np.zeros(4, np.int64)}, r"\(4,\).*same arguments"),
        ({"count": np.zeros(3)}, "float64.*int64"),
    ],
)
def test_a_state_of_another_environment_is_refused(change, said):
    env = StepsVector(3)
    env.reset(seed=0)
    with pytest.raises(ValueError, match=f"state: .*{said}"):
        env.set_state(env.get_state() | change)


def test_blocks_of_another_size_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="state: "):
        Blocks([rng], uniform, 8).set_state(Blocks([rng], uniform, 9).get_state())


def test_texts_shown_as_views_stay_as_they_were():
    first, second = (gym.make_vec("pg/Copy-v0", 2, copy=False) for _ in range(2))
    seen, _ = first.reset(seed=0)
    state = first.get_state()
    first.step(np.full(2, 5))
    second.reset(seed=1)
    second.set_state(state)
    again = second.step(np.full(2, 5))[0]["tokens"]
    assert (again == seen["tokens"]).all() and again.shape == (2, seen["tokens"].shape[1])


def test_rows_that_wait_are_reset_after_the_state_was_set():
    make = lambda: StepsVector(3, max_episode_steps=3, autoreset_mode=AutoresetMode.NEXT_STEP)  # noqa: E731
    first, second = Player(make(), 1), Player(make(), 2)
    first.play(3, seed=3)
    assert first.env.ended.all()
    second.env.set_state(first.env.get_state())
    assert not second.env.step(np.zeros(3, np.int64))[1].any()


def _without_generators(self, state):
    generators = [np.random.default_rng(i).bit_generator.state for i in range(len(state["generators"]))]
    ORIGINAL["set"](self, state | {"generators": generators})


ORIGINAL = {"set": RowsState.set_state}
test_seeded_bugs = seeded(
    Bug(
        "generators are left as they were",
        RowsState.set_state,
        _without_generators,
        [test_rows_go_on_beyond_the_numbers_that_were_drawn_ahead],
    ),
)
