"""Games of Atari one at a time: the vector form's pictures, rewards and ends, bit for bit."""

import sys

import gymnasium as gym
import numpy as np
import pytest
from support.bugs import Bug, seeded

from pg_agents.errors import UserError
from pg_agents.spaces import atari
from pg_agents.spaces.atari import single_game
from pg_agents.spaces.environments import make_env, open_env

ale_py = pytest.importorskip("ale_py")
pytest.importorskip("cv2")
SAME = {"noop_max": 0, "repeat_action_probability": 0.0}  # nothing is random
CASES = [
    ("ALE/Pong-v5", {}),
    ("ALE/Breakout-v5", {"reward_clipping": False}),
    ("ALE/Breakout-v5", {"stack_num": 2, "frameskip": 3, "img_height": 60, "img_width": 40, "use_fire_reset": False}),
    ("ALE/MsPacman-v5", {"full_action_space": True}),
    ("ALE/MsPacman-v5", {"reward_clipping": False}),
]


def both(env_id, given):
    vector = gym.make_vec(env_id, 1, **SAME, **given)
    arguments, wrappers = single_game(SAME | given)
    single = gym.make(env_id, **arguments)
    for wrapper in wrappers:
        single = wrapper(single)
    return vector, single


@pytest.mark.parametrize(("env_id", "given"), CASES)
def test_one_game_has_the_pictures_and_rewards_of_the_vector_form(env_id, given):
    vector, single = both(env_id, given)
    assert (
        single.observation_space == vector.single_observation_space
        and single.action_space.n == vector.single_action_space.n
    )
    theirs, ours = vector.reset(seed=1)[0], single.reset(seed=1)[0]
    assert (theirs[0] == ours).all()
    rng, total = np.random.default_rng(0), 0
    for _ in range(200):
        action = rng.integers(single.action_space.n)
        theirs, rewards, terminated, truncated, _ = vector.step(np.array([action]))
        ours, reward, *ended, _ = single.step(action)
        assert (theirs[0] == ours).all() and rewards[0] == reward and (terminated[0], truncated[0]) == tuple(ended)
        total += abs(reward)
        if any(ended):
            break
    assert total > 0
    single.close()


@pytest.mark.parametrize("env_id", ["ALE/Breakout-v5", "ALE/MsPacman-v5"])
@pytest.mark.parametrize(
    "how", [{"vectorization_mode": "sync"}, {"vectorization_mode": "async"}, {"a_seed_each": True}]
)
def test_how_games_are_stepped_does_not_change_the_task(env_id, how):
    """A life ends an episode here, and then a new game begins, in the vector form too."""
    given = SAME | {"episodic_life": True}
    seeds = {"a_seed_each": how.get("a_seed_each", False)}
    mode = {name: value for name, value in how.items() if name not in seeds}
    with open_env(env_id, 2, given) as vector, open_env(env_id, 2, given | mode, **seeds) as ours:
        assert type(ours.unwrapped) is not type(vector.unwrapped)
        assert ours.single_observation_space == vector.single_observation_space
        assert (vector.reset(seed=1)[0] == ours.reset(seed=1)[0]).all()
        rng, ends = np.random.default_rng(0), 0
        for _ in range(200):
            actions = rng.integers(ours.single_action_space.n, size=2)
            theirs, mine = vector.step(actions)[:4], ours.step(actions)[:4]
            assert all((one == other).all() for one, other in zip(theirs, mine, strict=True))
            ends += mine[2].sum()
    assert ends > 1


STACK = "FrameStackObservation:stack_size=4"


def test_raw_screens_are_made_where_they_are_asked_for():
    with open_env("ALE/Pong-v5", 1, {"obs_type": "rgb"}, wrappers=[STACK]) as env:
        assert env.single_observation_space.shape == (4, 210, 160, 3)
    with open_env("ALE/Pong-v5", 1, {"obs_type": "ram", "vectorization_mode": "sync"}) as env:
        assert env.single_observation_space.shape == (128,)
    with open_env("ALE/Pong-v5", 1, {"frameskip": 1}, wrappers=["AtariPreprocessing", STACK]) as env:
        assert env.single_observation_space.shape == (4, 84, 84)


def test_wrappers_of_raw_screens_that_nobody_asked_for_are_refused():
    message = (
        r"^wrappers: FrameStackObservation:stack_size=4 would .*frameskip=1 \(--wrapper .* obs_type=rgb \(--env-arg"
    )
    with pytest.raises(UserError, match=message):
        make_env("ALE/Pong-v5", 1, {}, wrappers=[STACK])


@pytest.mark.parametrize("given", [{"num_threads": 2}, {"maxpool": False}])
def test_what_only_the_vector_form_can_do_is_refused_for_single_games(given):
    with pytest.raises(UserError, match=f"^env_args: .*{next(iter(given))}"):
        make_env("ALE/Pong-v5", 1, {"vectorization_mode": "sync", **given})


def test_a_missing_package_of_single_games_is_the_games(monkeypatch):
    """Nobody has typed a wrapper."""
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r'^env: ALE/Pong-v5 needs a package .*pip install .*\[atari\]"$'):
        make_env("ALE/Pong-v5", 1, {"vectorization_mode": "sync"})


def nothing_changed(env_id, given, wrappers):
    return given, wrappers


test_seeded_bugs = seeded(
    Bug(
        "a game waits for its button",
        atari.FireReset,
        gym.Wrapper,
        [test_one_game_has_the_pictures_and_rewards_of_the_vector_form],
    ),
    Bug(
        "single games are raw screens",
        atari.one_by_one,
        nothing_changed,
        [test_wrappers_of_raw_screens_that_nobody_asked_for_are_refused],
    ),
)
