"""Games of Atari one at a time: the vector form's pictures, rewards and ends, bit for bit."""

import gymnasium as gym
import numpy as np
import pytest
from support.bugs import Bug, seeded

from pg_agents.spaces import atari
from pg_agents.spaces.atari import single_game

ale_py = pytest.importorskip("ale_py")
pytest.importorskip("cv2")
SAME = {"noop_max": 0, "repeat_action_probability": 0.0}  # nothing is random
CASES = [
    ("ALE/Pong-v5", {}),
    ("ALE/Breakout-v5", {"reward_clipping": False, "num_threads": 1}),
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


def test_a_life_ends_an_episode_where_it_does_in_the_vector_form():
    vector, single = both("ALE/Breakout-v5", {"episodic_life": True})
    vector.reset(seed=1), single.reset(seed=1)
    ends = [(vector.step(np.array([3]))[2][0], single.step(3)[2]) for _ in range(200)]
    last = ends.index((True, True))
    assert last > 10 and set(ends[:last]) == {(False, False)}
    single.close()


test_seeded_bugs = seeded(
    Bug(
        "a game waits for its button",
        atari.FireReset,
        gym.Wrapper,
        [test_one_game_has_the_pictures_and_rewards_of_the_vector_form],
    ),
)
