"""Seeds, refusals, autoreset modes and states of classic control."""

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
from gymnasium.vector import AutoresetMode
from pg_envs.core.rows import RowsVectorEnv
from support.bugs import Bug, seeded
from support.classic import NAMES, assert_equal
from support.states import bits, through_disk

each = pytest.mark.parametrize("name", NAMES)


@each
def test_a_whole_number_seeds_rows_one_after_the_other(name):
    env = gym.make_vec(f"pg/{name}", 3)
    first = env.reset(seed=7)[0]
    assert_equal(env.reset(seed=[7, 8, 9])[0], first)
    assert len(np.unique(first, axis=0)) == 3
    assert not np.array_equal(env.reset()[0], first)  # the generators go on
    env.reset(seed=7)
    again, single = env.reset()[0], gym.make(name)
    single.reset(seed=8)
    assert_equal(again[1], single.reset()[0])


@each
def test_bounds_are_refused(name):
    env = gym.make_vec(f"pg/{name}", 2)
    wrong = {"x_init": -1.0} if name == "Pendulum-v1" else {"low": 1.0, "high": 0.0}
    key = next(iter(wrong))
    for options in (wrong, {key: "far"}, {key: float("nan")}, {key: -np.inf}):
        with pytest.raises(ValueError, match=r"options: |[Oo]ption|bound"):
            env.reset(options=options)
    assert np.isfinite(env.reset(seed=0)[0]).all() and env.unwrapped.bounds is type(env.unwrapped).starts


@each
def test_actions_are_refused(name):
    env = gym.make_vec(f"pg/{name}", 2)
    env.reset(seed=0)
    if isinstance(env.single_action_space, gym.spaces.Discrete):
        wrong = [[0, env.single_action_space.n], [-1, 0], [0.0, 1.0], [[0], [1]], [True, False]]
    else:
        wrong = [[[0.0], [np.nan]], [[np.inf], [0.0]], [0.0, 1.0], [["a"], ["b"]]]
    for actions in wrong:
        before = env.unwrapped.state.copy()
        with pytest.raises(ValueError, match=r"actions: (Discrete|Box).* for each of 2 rows takes .* got \["):
            env.step(np.array(actions))
        assert (env.unwrapped.state == before).all()


@pytest.mark.parametrize("mode", list(AutoresetMode))
@each
def test_modes_show_the_same_episodes(name, mode):
    """Three steps, then the next episode: a step later with NEXT_STEP, after a masked reset with DISABLED."""
    same = gym.make_vec(f"pg/{name}", 3, max_episode_steps=3)
    other = gym.make_vec(f"pg/{name}", 3, max_episode_steps=3, autoreset_mode=mode)
    assert_equal(other.reset(seed=4)[0], same.reset(seed=4)[0])
    same.action_space.seed(0)
    for step in range(1, 10):
        actions = same.action_space.sample()
        expected, *numbers, infos = same.step(actions)
        seen, *others, _ = other.step(actions)
        np.testing.assert_array_equal(numbers, others)
        if step % 3 == 0 and mode is not AutoresetMode.SAME_STEP:
            assert_equal(seen, infos["final_obs"])
            if mode is AutoresetMode.NEXT_STEP:
                seen, rewards, *_ = other.step(actions)
                assert not rewards.any()
            else:
                seen, _ = other.reset(options={"reset_mask": np.ones(3, bool)})
        assert_equal(seen, expected)


@each
def test_rows_without_a_decision_stay(name):
    """With DISABLED, rows that have ended wait unchanged while another one, whose episode began later, goes on."""
    env = gym.make_vec(f"pg/{name}", 2, max_episode_steps=3, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    action = env.action_space.sample()
    env.step(action)
    env.reset(options={"reset_mask": np.array([False, True])})
    for _ in range(2):
        seen, _, _, truncated, _ = env.step(action)
    assert truncated.tolist() == [True, False]
    later, rewards, *_ = env.step(action)
    assert (later[0] == seen[0]).all() and rewards[0] == 0 and (later[1] != seen[1]).any()


@pytest.mark.filterwarnings("ignore")
@each
def test_a_single_environment_goes_on_from_a_state(name):
    first, second = (gym.make(f"pg/{name}", max_episode_steps=1000).unwrapped for _ in range(2))
    assert first.get_state()["state"] is None
    first.reset(seed=3), second.reset(seed=4)
    first.action_space.seed(0)
    for cut in (0, 4):
        for _ in range(cut):
            first.step(first.action_space.sample())
        state = through_disk(first.get_state())
        second.set_state(state)
        assert second.np_random_seed == 3
        actions = [first.action_space.sample() for _ in range(5)]
        expected = [bits(first.step(action)) for action in actions] + [bits(first.reset())]
        assert [bits(second.step(action)) for action in actions] + [bits(second.reset())] == expected
    with pytest.raises(ValueError, match="state: it has version 2"):
        second.set_state(state | {"version": 2})


def test_only_what_is_known_is_told():
    known = {name: pg_envs.known_returns(gym.make(f"pg/{name}")) for name in NAMES}
    assert known.pop("CartPole-v1").optimal == 500
    assert set(known.values()) == {pg_envs.KnownReturns()}


def _without_final(self, infos):
    infos = ORIGINAL["reset_ended"](self, infos)
    return {**infos, "final_obs": self._observe()}


ORIGINAL = {"reset_ended": RowsVectorEnv._reset_ended}
test_seeded_bugs = seeded(
    Bug(
        "the final observation is the next episode's first",
        RowsVectorEnv._reset_ended,
        _without_final,
        [
            (test_modes_show_the_same_episodes, "CartPole-v1-AutoresetMode.NEXT_STEP"),
        ],
    ),
)
