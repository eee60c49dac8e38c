"""Rows have the transitions of Gymnasium's single environments, with their seeds, options, time limits and ends."""

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st
from pg_envs.classic.forms import ClassicVector
from pg_envs.core.blocks import Blocks
from pg_envs.core.rows import RowsVectorEnv
from support.bugs import Bug, seeded, with_arguments, with_result
from support.states import bits, through_disk

CLOSE = {"rtol": 0, "atol": 1e-12}
SEEDS = st.lists(st.integers(0, 2**63), min_size=1, max_size=3)
POLICIES = {  # which make episodes long, or reach the goal
    "CartPole-v1": lambda seen: (seen @ [0.05, 0.2, 1, 0.5] > 0).astype(np.int64),
    "Acrobot-v1": lambda seen: 1 + np.sign(seen[:, 5]).astype(np.int64),
    "MountainCar-v0": lambda seen: 1 + np.sign(seen[:, 1]).astype(np.int64),
    "MountainCarContinuous-v0": lambda seen: np.sign(seen[:, 1:]),
    "Pendulum-v1": lambda seen: -seen[:, 2:] * seen[:, :1],
}
NAMES = list(POLICIES)
each = pytest.mark.parametrize("name", NAMES)


def assert_equal(seen, expected):
    np.testing.assert_allclose(seen, expected, **CLOSE)
    assert seen.dtype == np.asarray(expected).dtype


def assert_step(env, singles, actions, limit):
    """One step in both; return the next observations, and how many rows have ended."""
    seen, rewards, terminated, truncated, infos = env.step(actions)
    ended = terminated | truncated
    assert ("final_obs" in infos) == ended.any()
    for row, single in enumerate(singles):
        now, reward, *ends, _ = single.step(actions[row])
        np.testing.assert_allclose(rewards[row], reward, **CLOSE)
        assert [terminated[row], truncated[row]] == ends
        if ended[row]:
            assert infos["_final_obs"][row]
            assert_equal(infos["final_obs"][row], now)
            now, _ = single.reset()
        assert_equal(seen[row], now)
        np.testing.assert_allclose(env.unwrapped.state[:, row], single.unwrapped.state, **CLOSE)
    return seen, ended.sum()


def pair(name, seeds, limit=None, **arguments):
    """Our vector environment and Gymnasium's single ones, after their reset."""
    arguments |= {} if limit is None else {"max_episode_steps": limit}
    env = gym.make_vec(f"pg/{name}", len(seeds), **arguments)
    singles = [gym.make(name, **arguments) for _ in seeds]
    seen, _ = env.reset(seed=seeds)
    assert_equal(seen, np.stack([one.reset(seed=seed)[0] for one, seed in zip(singles, seeds, strict=True)]))
    return env, singles, seen


def assert_plays_alike(name, seeds, steps, noise, action_seed, **arguments):
    """The same actions, from a policy and partly at random, give the same transitions; return how many episodes end."""
    env, singles, seen = pair(name, seeds, **arguments)
    env.action_space.seed(action_seed)
    rng, count = np.random.default_rng(action_seed), 0
    for _ in range(steps):
        actions, random = POLICIES[name](seen), env.action_space.sample()
        chosen = rng.random(len(seeds)) < noise
        actions[chosen] = random[chosen]
        seen, ended = assert_step(env, singles, actions, None)
        count += ended
    return count


@pytest.mark.filterwarnings("ignore")  # Gymnasium's checker has remarks on its own environments
@each
@settings(max_examples=10, deadline=None)
@given(SEEDS, st.integers(1, 80), st.sampled_from([0.0, 0.2, 1.0]), st.integers(0, 99))
def test_rows_are_gymnasiums_single_environments(name, seeds, limit, noise, action_seed):
    steps = min(2 * limit + 3, 90)
    assert assert_plays_alike(name, seeds, steps, noise, action_seed, limit=limit) >= len(seeds) * (steps // limit)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "steps", "noise"),
    [
        ("CartPole-v1", 1020, 0.01),
        ("CartPole-v1", 300, 1.0),
        ("Acrobot-v1", 620, 1.0),
        ("Acrobot-v1", 300, 0.0),
        ("MountainCar-v0", 420, 0.1),
        ("MountainCarContinuous-v0", 1100, 0.3),
        ("MountainCarContinuous-v0", 1010, 1.0),
        ("Pendulum-v1", 420, 0.1),
    ],
)
def test_whole_episodes_are_gymnasiums(name, steps, noise):
    assert assert_plays_alike(name, [5, 2**40], steps, noise, 0) >= 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("CartPole-v1", {"sutton_barto_reward": True}),
        ("MountainCar-v0", {"goal_velocity": 0.04}),
        ("MountainCarContinuous-v0", {"goal_velocity": 0.05}),
        ("Pendulum-v1", {"g": 9.81}),
    ],
)
def test_arguments_are_gymnasiums(name, arguments):
    assert_plays_alike(name, [3, 4], 300, 0.1, 0, **arguments)


@each
def test_many_starts_are_gymnasiums(name):
    """Also seed 48,970, where a cosine computed in float32, as Acrobot's starts have it, is another one than usual."""
    seeds = range(48_600, 49_000)
    env, single = gym.make_vec(f"pg/{name}", len(seeds)), gym.make(name).unwrapped
    np.testing.assert_array_equal(env.reset(seed=seeds[0])[0], [single.reset(seed=seed)[0] for seed in seeds])


@each
def test_registrations_are_gymnasiums(name):
    ours, theirs = gym.spec(f"pg/{name}"), gym.spec(name)
    assert (ours.max_episode_steps, ours.reward_threshold) == (theirs.max_episode_steps, theirs.reward_threshold)
    env, single = gym.make_vec(f"pg/{name}", 2), gym.make(name)
    assert env.single_observation_space == single.observation_space == gym.make(f"pg/{name}").observation_space
    assert env.single_action_space == single.action_space
    assert env.unwrapped.max_episode_steps == theirs.max_episode_steps
    assert env.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP and env.metadata["seeds_per_environment"]


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


@pytest.mark.filterwarnings("ignore")
@each
def test_options_hold_for_the_episodes_that_the_reset_starts(name):
    options = {"x_init": 0.3, "y_init": 0.0} if name == "Pendulum-v1" else {"low": -0.3, "high": -0.28}
    env, singles, _ = pair(name, [1, 2], limit=3)
    for later in (options, None, {key: options[key] for key in list(options)[:1]} if name == "Pendulum-v1" else {}):
        seen, _ = env.reset(options=later)
        assert_equal(seen, np.stack([single.reset(options=later)[0] for single in singles]))
        for _ in range(4):  # into an episode with the usual starts
            assert_step(env, singles, env.action_space.sample(), 3)


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


@each
def test_more_episodes_than_were_drawn_ahead(name):
    env = gym.make_vec(f"pg/{name}", 1, max_episode_steps=1)
    single = gym.make(name)
    env.reset(seed=11), single.reset(seed=11)
    for _ in range(150):
        assert_equal(env.step(env.action_space.sample())[0][0], single.reset()[0])


def test_only_what_is_known_is_told():
    known = {name: pg_envs.known_returns(gym.make(f"pg/{name}")) for name in NAMES}
    assert known.pop("CartPole-v1").optimal == 500
    assert set(known.values()) == {pg_envs.KnownReturns()}


def _one_generator(self, generators):
    ORIGINAL["seed"](self, [generators[0]] * len(generators))


def _without_final(self, infos):
    infos = ORIGINAL["reset_ended"](self, infos)
    return {**infos, "final_obs": self._observe()}


def _kept_bounds(self, *, seed=None, options=None):
    self.bounds = self._bounds(options) if options else self.bounds
    return RowsVectorEnv.reset(self, seed=seed, options=options)


ORIGINAL = {"seed": ClassicVector._seed, "reset_ended": RowsVectorEnv._reset_ended}
test_seeded_bugs = seeded(
    Bug("rows share a generator", ClassicVector._seed, _one_generator, [test_rows_are_gymnasiums_single_environments]),
    Bug(
        "the time limit is off by one",
        RowsVectorEnv.__init__,
        with_arguments(RowsVectorEnv.__init__, max_episode_steps=lambda limit: limit + 1),
        [test_rows_are_gymnasiums_single_environments, test_registrations_are_gymnasiums],
    ),
    Bug(
        "the final observation is the next episode's first",
        RowsVectorEnv._reset_ended,
        _without_final,
        [
            test_rows_are_gymnasiums_single_environments,
            (test_modes_show_the_same_episodes, "CartPole-v1-AutoresetMode.NEXT_STEP"),
        ],
    ),
    Bug("options last", ClassicVector.reset, _kept_bounds, [test_options_hold_for_the_episodes_that_the_reset_starts]),
    Bug(
        "a block of starts comes twice",
        Blocks._refill,
        lambda self, rows: (self.cursor.__imod__(len(self.values)), setattr(self, "spare", 1)),
        [test_more_episodes_than_were_drawn_ahead],
    ),
    Bug(
        "starts are rounded",
        ClassicVector._draw,
        with_result(ClassicVector._draw, lambda drawn: drawn.astype(np.float32)),
        [(test_rows_are_gymnasiums_single_environments, "CartPole-v1")],
    ),
)
