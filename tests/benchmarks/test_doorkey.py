"""The best returns of DoorKey and Empty: by hand, and by a search that steps the environment itself."""

import copy

import gymnasium as gym
import pytest

from benchmarks.learning import doorkey
from benchmarks.learning.doorkey import BestReturns, State, best_return, fewest_steps
from tests.support.bugs import Bug, seeded, with_arguments

pytest.importorskip("minigrid")


def corridor(*kinds):
    """A corridor to the right with these things in it, from x = 0, walls around."""
    walls = {(x, y): "wall" for x in range(-1, len(kinds) + 1) for y in (-1, 0, 1)}
    inside = {(x, 0): kind for x, kind in enumerate(kinds) if kind}
    return {at: kind for at, kind in walls.items() if at[1] or at[0] in (-1, len(kinds))} | inside


@pytest.mark.parametrize(
    ("kinds", "steps"),
    [
        ((None, None, "goal"), 2),  # forward, forward
        ((None, "key", "door", "goal"), 5),  # pick up, forward, toggle, forward, forward
    ],
)
def test_corridors_by_hand(kinds, steps):
    assert fewest_steps(State(0, 0, 0), corridor(*kinds)) == steps
    assert fewest_steps(State(0, 0, 2), corridor(*kinds)) == steps + 2  # two turns first


def test_without_a_key_there_is_no_way():
    with pytest.raises(ValueError, match="no way from"):
        fewest_steps(State(0, 0, 0), corridor(None, "door", "goal"))


def searched(env):
    """The best return by stepping copies of the environment, with every action that it has."""
    seen, border = set(), [env]
    while border:
        following = []
        for state in border:
            for action in range(7):
                after = copy.deepcopy(state)
                _, reward, terminated, *_ = after.step(action)
                if terminated:
                    return reward
                key = (after.grid.encode().tobytes(), after.agent_pos, after.agent_dir, after.carrying is None)
                if key not in seen:
                    seen.add(key)
                    following.append(after)
        border = following
    raise AssertionError("the goal was not reached")


@pytest.mark.parametrize(("name", "seed"), [("DoorKey-5x5", 0), ("DoorKey-5x5", 3), ("Empty-Random-6x6", 1)])
def test_a_search_that_steps_the_environment_finds_the_same(name, seed):
    env = gym.make(f"minigrid:MiniGrid-{name}-v0")
    env.reset(seed=seed)
    assert best_return(env) == pytest.approx(searched(env.unwrapped), abs=1e-12)


def test_the_best_return_of_every_episode_is_kept():
    env = BestReturns(gym.make("minigrid:MiniGrid-DoorKey-5x5-v0"))
    for seed in (0, 1, None):
        env.reset(seed=seed)
        assert env.best_returns[-1] == best_return(env)
    assert len(env.best_returns) == 3 and all(0.9 < best < 1 for best in env.best_returns)


def _without_doors(kinds):
    return {at: kind for at, kind in kinds.items() if kind != "door"}


test_seeded_bugs = seeded(
    Bug(
        "doors are no hindrance",
        doorkey.successors,
        with_arguments(doorkey.successors, kinds=_without_doors),
        [test_corridors_by_hand, test_a_search_that_steps_the_environment_finds_the_same],
    ),
)
