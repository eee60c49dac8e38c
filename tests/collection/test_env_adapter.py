"""The three autoreset modes show the same transitions."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bugs import Bug, seeded, with_result
from support.tiny_envs import ACTIONS, MODES, Dice, OneStep, dice, leaves

import pg_agents as pg
from pg_agents.collection.env_adapter import EnvAdapter, as_vector_env
from pg_agents.collection.faults import with_rows
from pg_agents.spaces.conversion import to_env_action

SAFE = {"buffer": [AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED]}  # SAME_STEP resets before anyone can copy


def live_through(env, seed, num_steps=25):
    """Return each row's valid transitions; actions depend on the row and on its count of valid steps alone."""
    adapter = EnvAdapter(env, seed)
    lived = [[] for _ in range(adapter.num_envs)]
    for _ in range(num_steps):
        before, episode_starts, times = adapter.observation, adapter.episode_starts.copy(), adapter.times.copy()
        before = {b: leaves(before, b) for b in range(adapter.num_envs)}
        space = env.single_action_space
        codes = np.array([7 * b + 3 * len(rows) for b, rows in enumerate(lived)])
        if isinstance(space, gym.spaces.Discrete):
            actions = codes % int(space.n) + int(space.start)
        else:
            actions = np.stack([np.sin(codes), np.cos(codes)], 1).astype(np.float32)
        step = adapter.step(actions)
        for b in np.flatnonzero(step.valid):
            flags = (bool(step.terminated[b]), bool(step.truncated[b]), bool(step.done[b]))
            account = (bool(episode_starts[b]), int(times[b]), step.returns[b], int(step.lengths[b]))
            lived[b].append((before[b], float(step.rewards[b]), *flags, *account, leaves(step.final, b)))
    adapter.env.close()
    return lived


def assert_same(lives, at_least):
    first = lives[0]
    for other in lives[1:]:
        for mine, theirs in zip(first, other, strict=True):
            n = min(len(mine), len(theirs))
            assert n >= at_least
            assert mine[:n] == theirs[:n]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    limit=st.one_of(st.none(), st.integers(1, 5)),
    ends=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    observation=st.sampled_from(["box", "discrete", "dict"]),
    action=st.sampled_from(list(ACTIONS)),
)
def test_modes_give_the_same_valid_transitions(seed, limit, ends, observation, action):
    form = {"limit": limit, "ends": ends, "observation": observation, "action": action}
    assert_same([live_through(dice(mode, **form), seed) for mode in MODES], at_least=12)


def test_dice_terminate_are_truncated_and_both_in_one_step_and_last_one_step():
    raw = dice(AutoresetMode.NEXT_STEP, num_envs=8)
    raw.reset(seed=0)
    ends = set()
    for _ in range(60):
        _, _, terminated, truncated, _ = raw.step(np.zeros(8, np.int64))
        ends |= set(zip(terminated.tolist(), truncated.tolist(), strict=True))
    assert ends == {(False, False), (False, True), (True, False), (True, True)}
    lengths = [row[8] for rows in live_through(dice(AutoresetMode.NEXT_STEP), 0) for row in rows if row[4]]
    assert set(lengths) == {1, 2, 3, 4}
    flags = [row[2:5] for rows in live_through(dice(AutoresetMode.SAME_STEP, num_envs=8), 0) for row in rows]
    assert set(flags) == {(False, False, False), (True, False, True), (False, True, True)}  # terminated wins


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_final_observation_is_the_one_that_followed_the_step(mode):
    """Dice shows its clock: after a step at time t it reads t + 1, whatever was reset meanwhile."""
    for rows in live_through(dice(mode), 3):
        for observation, _, _, _, _, start, time, _, length, final in rows:
            assert observation[0] == time and final[0] == time + 1 == length
            assert start == (time == 0)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_returns_and_lengths_are_of_the_running_episode(mode):
    for rows in live_through(dice(mode), 5):
        total, count = 0.0, 0
        for _, reward, _, _, done, start, _, returns, length, _ in rows:
            total, count = (0.0, 0) if start else (total, count)
            total, count = total + reward, count + 1
            assert returns == pytest.approx(total, abs=1e-12) and length == count
            if done:
                total, count = 0.0, 0


@pytest.mark.parametrize("mode", SAFE["buffer"], ids=lambda mode: mode.name)
def test_environments_that_reuse_their_observation_array(mode):
    fresh = live_through(dice(mode), 1)
    assert_same([fresh, live_through(dice(mode, observation="buffer"), 1)], at_least=12)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_vector_environments_that_reuse_their_observation_array(mode):
    """SyncVectorEnv(copy=False) returns the same array each time, also from a masked reset."""
    fresh = live_through(dice(mode), 1)
    assert_same([fresh, live_through(dice(mode, form={"copy": False}), 1)], at_least=12)


class ReusesAll(gym.vector.VectorEnv):
    """A vector environment that returns the same arrays every time, and writes to the actions that it is given."""

    metadata = {"autoreset_mode": AutoresetMode.NEXT_STEP}
    num_envs = 2
    single_observation_space, single_action_space = gym.spaces.Box(0, 9, (1,)), gym.spaces.Discrete(2)

    def __init__(self):
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, 2)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, 2)
        self.seen, self.rewards = np.zeros((2, 1), np.float32), np.zeros(2)
        self.over, self.cut, self.given = np.zeros(2, bool), np.zeros(2, bool), []

    def reset(self, *, seed=None, options=None):
        self.seen[:], self.over[:], self.time = 0, False, 0
        return self.seen, {}

    def step(self, actions):
        self.given.append(actions.tolist())
        actions[:] = 1 - actions
        self.time = 0 if self.over[0] else self.time + 1
        self.seen[:], self.rewards[:], self.over[:] = self.time, self.time, self.time == 3
        return self.seen, self.rewards, self.over, self.cut, {}


def test_environments_that_reuse_their_arrays_of_rewards_flags_and_actions():
    env = ReusesAll()
    rollout = next(pg.collect_steps(env, pg.A2C.for_env(env).policy, 8))
    assert rollout.rewards[:, 0].tolist() == [1, 2, 3, 0, 1, 2, 3, 0]
    assert rollout.terminated[:, 1].tolist() == [False, False, True, False] * 2
    assert rollout.actions.tolist() == env.given


class Robot(gym.Env):
    """A Dict whose keys come in another order than those of its space, with parts of other sizes."""

    observation_space = gym.spaces.Dict(goal=gym.spaces.Box(-9, 999, (2,)), seen=gym.spaces.Box(-9, 999, (1,)))
    action_space = gym.spaces.Discrete(2)

    def _seen(self):
        return {"seen": np.full(1, self.time, np.float32), "goal": np.full(2, 100 + self.time, np.float32)}

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return self._seen(), {}

    def step(self, action):
        self.time += 1
        return self._seen(), 0.0, False, self.time == 3, {}


@pytest.mark.parametrize("mode", MODES)
def test_the_parts_of_a_last_observation_go_by_their_keys(mode):
    env = SyncVectorEnv([Robot], autoreset_mode=mode)
    rollout = next(pg.collect_episodes(env, pg.A2C.for_env(env).policy))
    assert rollout.final_observations["seen"].tolist() == [[3]]
    assert rollout.final_observations["goal"].tolist() == [[103, 103]]


def test_nested_dict_observations_in_every_mode():
    lives = [live_through(dice(mode, observation="nested"), 2) for mode in MODES]
    assert_same(lives, at_least=12)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_async_environments_give_the_same_transitions(mode):
    lives = [live_through(dice(mode, 2, vector, observation="dict"), 4) for vector in (SyncVectorEnv, AsyncVectorEnv)]
    assert_same(lives, at_least=12)


@pytest.mark.parametrize("shared_memory", [True, False])
def test_reset_in_the_middle_of_async_episodes_starts_all_rows(shared_memory):
    """A full reset while rows wait for their automatic one; where Gymnasium does that too, its step is not counted."""
    env = dice(AutoresetMode.NEXT_STEP, 2, AsyncVectorEnv, limit=1, form={"shared_memory": shared_memory})
    adapter = EnvAdapter(env, 0)
    try:
        adapter.step(np.zeros(2, np.int64))
        adapter.reset()
        step = adapter.step(np.zeros(2, np.int64))
        if not shared_memory:
            assert not step.valid.any() and adapter.valid.all() and adapter.episode_starts.all()
            step = adapter.step(np.zeros(2, np.int64))
        assert step.valid.all() and step.done.all()
        assert step.final[:, 0].tolist() == [1, 1]  # the clock: one step was taken
    finally:
        env.close(terminate=True)


@pytest.mark.parametrize("name", ["CartPole-v1", "pg/Chain-v0", "pg/GridWorld-v0", "pg/TwoArmedBandit-v0"])
def test_modes_agree_on_registered_environments(name):
    __import__("pg_envs")
    forms = [gym.make_vec(name, 3, vectorization_mode="sync", vector_kwargs={"autoreset_mode": mode}) for mode in MODES]
    if name.startswith("pg/"):
        forms += [gym.make_vec(name, 3, vectorization_mode="vector_entry_point", autoreset_mode=mode) for mode in MODES]
    assert_same([live_through(env, 8, num_steps=60) for env in forms], at_least=30)


def test_native_cartpole_counts_only_its_valid_steps():
    """Gymnasium's vector form resets at the next step; each valid step is rewarded 1 and moves the pole a little."""
    env = gym.make_vec("CartPole-v1", 4, vectorization_mode="vector_entry_point")
    lived = live_through(env, 0, num_steps=120)
    for rows in lived:
        assert sum(row[4] for row in rows) >= 2
        for (_, reward, _, _, done, _, _, returns, length, final), after in zip(rows, rows[1:], strict=False):
            assert reward == 1 and returns == length
            assert (after[0] == final) != done and after[5] == done


def test_seeds_differ_from_row_to_row_and_run_to_run():
    first = [EnvAdapter(dice(AutoresetMode.NEXT_STEP, 3), seed).observation[:, 1].tolist() for seed in range(4)]
    assert len({number for row in first for number in row}) == 12
    assert first[2] == EnvAdapter(dice(AutoresetMode.SAME_STEP, 3), 2).observation[:, 1].tolist()


def test_one_step_bandits_pay_one_on_average_under_next_step():
    adapter = EnvAdapter(SyncVectorEnv([OneStep] * 3, autoreset_mode=AutoresetMode.NEXT_STEP), 0)
    steps = [adapter.step(np.zeros(3, np.int64)) for _ in range(10)]
    rewards, valid = np.stack([step.rewards for step in steps]), np.stack([step.valid for step in steps])
    assert valid.sum() == 15 and rewards[valid].tolist() == [1.0] * 15 and not rewards[~valid].any()


def test_single_environment_is_wrapped_and_nonsense_refused():
    env = as_vector_env(Dice())
    assert env.num_envs == 1 and env.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    with pytest.raises(TypeError, match="got str"):
        as_vector_env("CartPole-v1")


def test_undeclared_autoreset_mode_is_refused():
    env = dice(AutoresetMode.NEXT_STEP)
    env.metadata = {}
    with pytest.raises(ValueError, match="autoreset_mode"):
        EnvAdapter(env, 0)


def test_where_both_happen_in_one_step_it_terminated():
    """Two steps that end the episode just when its limit is reached."""

    class TwoSteps(gym.Env):
        observation_space, action_space = gym.spaces.Discrete(3), gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            self.state = 0
            return 0, {}

        def step(self, action):
            self.state += 1
            return self.state, 1.0, self.state == 2, False, {}

    adapter = EnvAdapter(gym.wrappers.TimeLimit(TwoSteps(), 2), 0)
    first, second = (adapter.step(np.zeros(1, np.int64)) for _ in range(2))
    assert not first.done[0]
    assert second.terminated[0] and not second.truncated[0]


def test_a_reward_for_an_ignored_action_does_not_count():
    """Gymnasium gives 0 there; a vector environment of somebody's own may not."""

    class Generous(gym.vector.VectorWrapper):
        def step(self, actions):
            observations, rewards, *rest = self.env.step(actions)
            return observations, np.ones_like(rewards), *rest

    env = gym.make_vec(
        "CartPole-v1",
        1,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.NEXT_STEP},
        max_episode_steps=3,
    )
    adapter = EnvAdapter(Generous(env), 0)
    steps = [adapter.step(np.zeros(1, np.int64)) for _ in range(5)]
    assert [bool(step.valid[0]) for step in steps] == [True, True, True, False, True]
    assert [float(step.rewards[0]) for step in steps] == [1, 1, 1, 0, 1]
    assert [float(step.returns[0]) for step in steps] == [1, 2, 3, 0, 1]


# -- bugs --------------------------------------------------------------------------------------------------------------
def as_handed(rewards, flags):
    """Return a step that makes arrays of the rewards and of the flags by these functions."""

    def step(adapter, actions):
        observation, paid, terminated, truncated, infos = adapter.env.step(actions)
        return observation, rewards(paid), flags(terminated), flags(truncated), infos

    return step


def learned_from(adapter, *args, right=EnvAdapter._move_on):
    final = right(adapter, *args)
    adapter.valid = adapter.all
    return final


def paid_for_nothing(adapter, actions, step=EnvAdapter._step, right=EnvAdapter.step):
    handed = step(adapter, actions)
    adapter._step = lambda actions: handed
    return right(adapter, actions)._replace(rewards=handed[1])


def by_order(observation, final, done, right=with_rows):
    if final.dtype == object:
        final[done] = [dict(zip(observation, one.values(), strict=True)) for one in final[done]]
    return right(observation, final, done)


def cut_wins(step):
    observation, rewards, terminated, truncated, infos = step
    return observation, rewards, terminated & ~truncated, truncated, infos


test_seeded_bugs = seeded(
    Bug(
        "recorded rewards are the environment's own array",
        EnvAdapter._step,
        as_handed(np.asarray, np.array),
        [test_environments_that_reuse_their_arrays_of_rewards_flags_and_actions],
    ),
    Bug(
        "recorded flags are the environment's own array",
        EnvAdapter._step,
        as_handed(np.array, np.asarray),
        [test_environments_that_reuse_their_arrays_of_rewards_flags_and_actions],
    ),
    Bug(
        "the parts of a last observation go by their order",
        with_rows,
        by_order,
        [test_the_parts_of_a_last_observation_go_by_their_keys],
        raises=ValueError,
    ),
    Bug(
        "the first observation of the next episode is taken for the last of this one",
        with_rows,
        lambda observation, final, done: observation,
        [test_final_observation_is_the_one_that_followed_the_step],
    ),
    Bug(
        "the ignored action after an episode's end is learned from",
        EnvAdapter._move_on,
        learned_from,
        [test_one_step_bandits_pay_one_on_average_under_next_step],
    ),
    Bug(
        "truncation wins over termination",
        EnvAdapter._step,
        with_result(EnvAdapter._step, cut_wins),
        [test_where_both_happen_in_one_step_it_terminated],
    ),
    Bug(
        "rewards of ignored actions count",
        EnvAdapter.step,
        paid_for_nothing,
        [test_a_reward_for_an_ignored_action_does_not_count],
    ),
    Bug(
        "recorded actions are the array that the environment is given",
        to_env_action,
        lambda space: lambda actions: actions.numpy(force=True),
        [test_environments_that_reuse_their_arrays_of_rewards_flags_and_actions],
    ),
)
