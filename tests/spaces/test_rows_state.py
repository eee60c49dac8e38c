"""Some rows of a vector environment go on, in one that has no others, as they would have gone on there."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from pg_envs.core.blocks import Blocks
from support.bugs import Bug, seeded
from support.states import through_disk

from pg_agents.data.tree import tree_map
from pg_agents.spaces.env_state import restore, state_of
from pg_agents.spaces.environments import make_env
from pg_agents.spaces.rows_state import state_of_rows

COUNT, ROWS = 6, slice(2, 4)
FORMS = [
    ("pg/CartPole-v1", {}),
    ("pg/Acrobot-v1", {}),
    ("pg/Pendulum-v1", {}),
    ("pg/MountainCarContinuous-v0", {}),
    ("pg/BernoulliBandit-v0", {}),
    ("pg/GaussianBandit-v0", {}),
    ("pg/GridWorld-v0", {}),
    ("pg/Chain-v0", {"autoreset_mode": AutoresetMode.NEXT_STEP}),
    ("pg/Recall-v0", {}),
    ("pg/Catch-v0", {}),
    ("CartPole-v1", {"vectorization_mode": "sync"}),
    ("Blackjack-v1", {"vectorization_mode": "sync"}),
    ("FrozenLake-v1", {"vectorization_mode": "async"}),
]


def go_apart(env_id, arguments, steps=700):
    """Play rows, some of them also apart from `steps` steps on; return what both forms returned of these from there."""
    whole, some = (make_env(env_id, count, arguments) for count in (COUNT, ROWS.stop - ROWS.start))
    try:
        whole.reset(seed=3), some.reset(seed=8)
        whole.action_space.seed(0)
        for _ in range(steps):
            whole.step(whole.action_space.sample())
        restore(some, state_of_rows(some, through_disk(state_of(whole)), ROWS))
        seen = []
        for _ in range(700 if steps else 40):
            actions = whole.action_space.sample()
            own = whole.step(actions), some.step(actions[ROWS])
            seen.append([[tree_map(np.array, part) for part in step[:4]] for step in own])
        return seen
    finally:
        whole.close(), some.close()


@pytest.mark.parametrize(("env_id", "arguments"), FORMS)
def test_rows_go_on_apart_as_they_would_have_with_the_others(env_id, arguments):
    ends = 0
    for theirs, own in go_apart(env_id, arguments, 60 if arguments.get("vectorization_mode") == "async" else 700):
        for mine, whole in zip(own, theirs, strict=True):
            tree_map(np.testing.assert_array_equal, mine, tree_map(lambda leaf: leaf[ROWS], whole))
        ends += int((own[2] | own[3]).sum())
    assert ends > 0 or env_id == "pg/Chain-v0"


@pytest.mark.parametrize(
    ("whole", "some"),
    [
        (("CartPole-v1", {"vectorization_mode": "sync"}), ("pg/CartPole-v1", {})),
        (("CartPole-v1", {}), ("CartPole-v1", {})),
    ],
    ids=["another form", "one generator for all rows"],
)
def test_rows_that_cannot_be_told_apart_have_no_state(whole, some):
    one, other = make_env(whole[0], COUNT, whole[1]), make_env(some[0], 2, some[1])
    one.reset(seed=1)
    assert state_of_rows(other, state_of(one), ROWS) is None
    one.close(), other.close()


def test_a_wrapper_of_gymnasiums_may_keep_what_is_of_all_rows():
    mode = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    one, other = (
        gym.wrappers.vector.NormalizeObservation(gym.make_vec("pg/CartPole-v1", n, **mode)) for n in (COUNT, 2)
    )
    one.reset(seed=1)
    assert state_of_rows(other, state_of(one), ROWS) is None


test_seeded_bugs = seeded(
    Bug(
        "numbers that were drawn ahead are those of the first rows",
        Blocks.state_of_rows,
        lambda self, state, rows, count, right=Blocks.state_of_rows: right(self, state, slice(0, self.num_rows), count),
        [(test_rows_go_on_apart_as_they_would_have_with_the_others, "pg/CartPole-v1-arguments0")],
    ),
)
