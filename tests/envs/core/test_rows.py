"""The two forms of an environment and the three autoreset modes show the same episodes."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from pg_envs.core.known import KnownReturns, known_returns
from pg_envs.core.registration import register
from pg_envs.core.rows import RowEnv, RowsVectorEnv

LINE = Box(-10, 10, (2,), np.int64)
SEEDS = [7, 3, 2**40, 11]
MODES = list(AutoresetMode)


class WalkVector(RowsVectorEnv):
    """From 0, 1 or 2 step left or right, slip with probability 0.3; the episode ends at −3 and at 4."""

    def __init__(self, num_envs, **form):
        super().__init__(num_envs, LINE, Discrete(2), **form)
        self.position, self.visits = np.zeros(num_envs, np.int64), np.zeros(num_envs, np.int64)

    def _start(self, rows):
        self.position[rows] = 3 * self.uniforms.take(rows)
        self.visits[rows] = 0

    def _move(self, actions, rows):
        slips = self.uniforms.take(rows) < 0.3
        self.position[rows] += np.where(slips, 1 - 2 * actions, 2 * actions - 1)
        self.visits[rows] += 1
        position = self.position[rows]
        return position + 0.25, (position == -3) | (position == 4)

    def _observe(self):
        return np.stack([self.position, self.visits], axis=1)

    def _describe(self):
        return {"square": self.position**2}

    def known_returns(self, max_episode_steps=None):
        return KnownReturns(random=None if max_episode_steps is None else float(max_episode_steps))


class DictWalkVector(WalkVector):
    def __init__(self, num_envs, **form):
        super().__init__(num_envs, **form)
        self.single_observation_space = Dict(line=LINE)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, num_envs)

    def _observe(self):
        return {"line": super()._observe()}


class Walk(RowEnv):
    vector_form = WalkVector


class DictWalk(RowEnv):
    vector_form = DictWalkVector


@pytest.fixture(params=[Walk, DictWalk], ids=["array", "dict"])
def walk_id(request):
    register(f"{request.param.__name__}Test-v0", request.param)
    yield f"pg/{request.param.__name__}Test-v0"
    del gym.registry[f"pg/{request.param.__name__}Test-v0"]


def numbers(observation):
    return tuple(np.asarray(observation["line"] if isinstance(observation, dict) else observation).tolist())


def row_of(observations, row):
    return numbers({"line": observations["line"][row]} if isinstance(observations, dict) else observations[row])


def action_of(seed, step):
    """Depends on the row's own number of valid steps: the same in every form and mode."""
    return (seed + step * step // 3) % 2


def single_transitions(env, seed, steps):
    """[(observation, info before, action, reward, terminated, truncated, next observation, its info)]."""
    lived = []
    observation, info = env.reset(seed=seed)
    for step in range(steps):
        action = action_of(seed, step)
        following, reward, terminated, truncated, following_info = env.step(action)
        lived.append(
            (numbers(observation), int(info["square"]), action, reward, terminated, truncated)
            + (numbers(following), int(following_info["square"]))
        )
        observation, info = env.reset() if terminated or truncated else (following, following_info)
    return lived


def vector_transitions(env, seeds, steps):
    """The same for each row of a vector environment in any mode: rows that wait for their reset are left out."""
    mode, lived = env.metadata["autoreset_mode"], [[] for _ in seeds]
    waiting = np.zeros(len(seeds), bool)
    observations, infos = env.reset(seed=seeds)
    while min(map(len, lived)) < steps:
        if mode is AutoresetMode.DISABLED and waiting.any():
            observations, infos = env.reset(options={"reset_mask": waiting})
            waiting = np.zeros(len(seeds), bool)
        actions = np.array([action_of(seed, len(row)) for seed, row in zip(seeds, lived, strict=True)])
        following, rewards, terminated, truncated, next_infos = env.step(actions)
        for row, past in enumerate(lived):
            if waiting[row]:
                assert rewards[row] == 0 and not terminated[row] and not truncated[row]
                continue
            last, last_info = row_of(following, row), next_infos["square"][row]
            if mode is AutoresetMode.SAME_STEP and (terminated[row] or truncated[row]):
                assert next_infos["_final_obs"][row] and next_infos["_final_info"][row]
                last = numbers(next_infos["final_obs"][row])
                last_info = next_infos["final_info"]["square"][row]
                np.testing.assert_array_equal(next_infos["final_info"]["_square"], next_infos["_final_info"])
            past.append(
                (row_of(observations, row), int(infos["square"][row]), int(actions[row]), float(rewards[row]))
                + (bool(terminated[row]), bool(truncated[row]), last, int(last_info))
            )
        ended = terminated | truncated
        waiting = np.zeros(len(seeds), bool) if mode is AutoresetMode.SAME_STEP else ended
        observations, infos = following, next_infos
    return [row[:steps] for row in lived]


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_and_form_lives_through_the_same_transitions(walk_id, mode):
    steps = 300
    expected = [single_transitions(gym.make(walk_id, max_episode_steps=6), seed, steps) for seed in SEEDS]
    env = gym.make_vec(walk_id, len(SEEDS), max_episode_steps=6, autoreset_mode=mode)
    assert env.metadata["autoreset_mode"] is mode
    assert vector_transitions(env, SEEDS, steps) == expected
    ends = {transition[4:6] for row in expected for transition in row}
    assert {(True, False), (False, True)} <= ends


def test_gymnasiums_own_vector_form_agrees(walk_id):
    env = gym.make_vec(walk_id, len(SEEDS), vectorization_mode="sync", max_episode_steps=6)  # NEXT_STEP
    ours = gym.make_vec(walk_id, len(SEEDS), max_episode_steps=6, autoreset_mode=AutoresetMode.NEXT_STEP)
    assert vector_transitions(env, SEEDS, 60) == vector_transitions(ours, SEEDS, 60)


def test_an_episode_can_terminate_at_its_time_limit():
    env = WalkVector(64, max_episode_steps=2, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    env.step(np.ones(64, int))
    _, _, terminated, truncated, _ = env.step(np.ones(64, int))
    assert truncated.all() and terminated.any() and not terminated.all()


def test_disabled_rows_stay_as_they_ended():
    env = WalkVector(8, max_episode_steps=1, autoreset_mode=AutoresetMode.DISABLED)
    env.reset(seed=0)
    last = env.step(np.ones(8, int))[0]
    for _ in range(3):
        observations, rewards, terminated, truncated, _ = env.step(np.ones(8, int))
        np.testing.assert_array_equal(observations, last)
        assert not rewards.any() and not terminated.any() and not truncated.any()


def test_reset_mask_restarts_those_rows_alone():
    env = WalkVector(4, max_episode_steps=3)
    env.reset(seed=1)
    before = env.step(np.array([1, 0, 1, 0]))[0]
    options = {"reset_mask": np.array([True, False, False, True])}
    after = env.reset(options=options)[0]
    np.testing.assert_array_equal(after[1:3], before[1:3])
    assert after[[0, 3], 1].tolist() == [0, 0] and before[:, 1].tolist() == [1, 1, 1, 1]
    np.testing.assert_array_equal(env.elapsed, [0, 1, 1, 0])
    assert list(options) == ["reset_mask"]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_held_rows_wait_and_then_go_on_as_if_nothing_had_happened(mode):
    """Rows 0 and 2 are held in steps in which others end their episodes, and in a reset; at different moments."""
    held, alone = (WalkVector(4, max_episode_steps=4, autoreset_mode=mode) for _ in range(2))
    held.reset(seed=3), alone.reset(seed=3)
    lived, expected = [[] for _ in SEEDS], [[] for _ in SEEDS]
    for step in range(60):
        waits = np.array([step % 5 in (1, 2), False, step % 7 > 3, False])
        held.hold(waits)
        before, actions = held._observe(), np.array([action_of(row, len(past)) for row, past in enumerate(lived)])
        observations, rewards, terminated, truncated, _ = held.step(actions)
        np.testing.assert_array_equal(observations[waits], before[waits])
        assert not rewards[waits].any() and not terminated[waits].any() and not truncated[waits].any()
        for row in np.flatnonzero(~waits):
            lived[row].append((row_of(observations, row), rewards[row], terminated[row], truncated[row]))
    for _ in range(60):
        actions = np.array([action_of(row, len(past)) for row, past in enumerate(expected)])
        observations, *rest, _ = alone.step(actions)
        for row, past in enumerate(expected):
            past.append((row_of(observations, row), *(values[row] for values in rest)))
    assert all(past == whole[: len(past)] for past, whole in zip(lived, expected, strict=True))
    assert len(lived[0]) < 40 and len(lived[2]) < 40


def test_held_rows_are_not_reset_until_they_are_let_go():
    env = WalkVector(3)
    env.reset(seed=1)
    before = env.step(np.array([1, 0, 1]))[0]
    env.hold(np.array([False, True, False]))
    after = env.reset()[0]
    np.testing.assert_array_equal(after[1], before[1])
    assert after[[0, 2], 1].tolist() == [0, 0]
    env.hold(np.zeros(3, bool))
    assert env.reset()[0][:, 1].tolist() == [0, 0, 0]


def test_reset_mask_errors_name_the_argument():
    env = WalkVector(3)
    with pytest.raises(ValueError, match="reset_mask"):  # nothing has started yet
        env.reset(options={"reset_mask": np.array([True, False, False])})
    with pytest.raises(ValueError, match="reset_mask.*3 rows.*(2,)"):
        env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ValueError, match="reset_mask"):
        env.reset(seed=1, options={"reset_mask": np.array([True, False, True])})
    env.reset(seed=1, options={"reset_mask": np.array([True, True, True])})


def test_an_int_seeds_row_i_with_seed_plus_i():
    one, other = WalkVector(5), WalkVector(5)
    one.reset(seed=20)
    other.reset(seed=[20, 21, 22, 23, 24])
    for _ in range(20):
        np.testing.assert_array_equal(one.step(np.ones(5, int))[0], other.step(np.ones(5, int))[0])


@pytest.mark.parametrize("seed", [[1, 2], [1, None, 3], []])
def test_seed_lists_are_complete(seed):
    with pytest.raises(ValueError, match="seed.*3 rows"):
        WalkVector(3).reset(seed=seed)


def test_a_reset_without_a_seed_goes_on_and_one_with_it_starts_over():
    env = WalkVector(50)
    first = env.reset(seed=5)[0]
    assert (env.reset()[0] != first).any()
    np.testing.assert_array_equal(env.reset(seed=5)[0], first)
    single, generator = Walk(), seeding.np_random(5)[0]
    episode_starts = [int(single.reset(seed=None if trial else 5)[0][0]) for trial in range(20)]
    assert episode_starts == (3 * generator.random(20)).astype(int).tolist() and set(episode_starts) == {0, 1, 2}


def test_what_was_returned_is_not_written_to_later():
    env = WalkVector(6, max_episode_steps=2)
    returned = [env.reset(seed=0)[0]]
    copies = copy.deepcopy(returned)
    for _ in range(6):
        observations, rewards, terminated, truncated, infos = env.step(np.ones(6, int))
        new = [observations, rewards, terminated, truncated, infos["square"]]
        if "final_obs" in infos:
            new += [infos["final_obs"], infos["_final_obs"], infos["final_info"]["square"]]
        returned += new
        copies += copy.deepcopy(new)
    assert len(returned) > 1 + 6 * 5  # episodes have ended
    env.reset()
    for value, then in zip(returned, copies, strict=True):
        np.testing.assert_array_equal(value, then)


def test_a_copied_environment_goes_on_the_same_way():
    env = WalkVector(3, max_episode_steps=5)
    env.reset(seed=0)
    for _ in range(100):
        env.step(np.ones(3, int))
    twin = copy.deepcopy(env)
    for _ in range(1200):  # beyond the numbers that were drawn ahead
        np.testing.assert_array_equal(env.step(np.ones(3, int))[0], twin.step(np.ones(3, int))[0])


@pytest.mark.parametrize(("name", "value"), [("num_envs", 0), ("max_episode_steps", 0), ("max_episode_steps", -3)])
def test_counts_are_positive(name, value):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got {value}"):
        WalkVector(**{"num_envs": 2, name: value})


def test_known_returns_sees_the_limit_the_environment_runs_under(walk_id):
    assert known_returns(gym.make(walk_id, max_episode_steps=9)).random == 9
    assert known_returns(gym.make_vec(walk_id, 2, max_episode_steps=8)).random == 8
    assert known_returns(gym.make_vec(walk_id, 2, vectorization_mode="sync", max_episode_steps=7)).random == 7
    assert known_returns(gym.make(walk_id)) == KnownReturns(None, None, "episode")
    assert known_returns(gym.make("CartPole-v1")) == KnownReturns(None, None)


def test_nothing_is_known_where_a_wrapper_changes_the_rewards():
    plain = gym.make("pg/TwoArmedBandit-v0")
    assert known_returns(plain).optimal == 0.6
    assert known_returns(gym.wrappers.TimeLimit(plain, 5)).optimal == 0.6
    assert known_returns(gym.wrappers.TransformReward(plain, lambda r: 10 * r)).optimal is None
    vector = gym.make_vec("pg/TwoArmedBandit-v0", 2)
    assert known_returns(vector).optimal == 0.6
    assert known_returns(gym.wrappers.vector.TransformReward(vector, lambda r: 10 * r)).optimal is None
