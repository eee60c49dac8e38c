"""What environments promise to return, and last observations that a reset overwrites."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from support.bugs import Bug, seeded, with_result

from pg_agents.collection import faults
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.collection.faults import promises
from pg_agents.errors import FaultyEnvironmentError

SAME_STEP, NEXT_STEP, DISABLED = AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP, AutoresetMode.DISABLED


# -- values outside their space ----------------------------------------------------------------------------------------
class Shows(gym.Env):
    """Shows zeros, and from its second step on `value`; with `reward`."""

    action_space = Discrete(2)

    def __init__(self, space, first, value, reward=0.0):
        self.observation_space, self.first, self.value, self.reward = space, first, value, reward

    def reset(self, *, seed=None, options=None):
        self.clock = 0
        return self.first, {}

    def step(self, action):
        self.clock += 1
        late = self.clock > 1
        return self.value if late else self.first, self.reward if late else 0.0, False, False, {}


PAIR, INSIDE, OUTSIDE = MultiDiscrete([2, 3], start=[0, 4]), np.array([1, 6]), np.array([1, 7])
KINDS = {
    "discrete": (Discrete(3, start=5), 5, 8, "an observation outside", "8, expected 5 to 7"),
    "multi-discrete": (PAIR, INSIDE, OUTSIDE, "an observation outside", r"\[1 7\], expected \[0 4\] to \[1 6\]"),
    "multi-binary": (
        MultiBinary(2),
        np.array([0, 1]),
        np.array([0, 2]),
        "an observation outside",
        r"\[0 2\], expected",
    ),
    "dict": (
        Dict({"a.b": PAIR, "c": Box(-1, 1, (2,))}),
        {"a.b": INSIDE, "c": np.zeros(2, np.float32)},
        {"a.b": OUTSIDE, "c": np.zeros(2, np.float32)},
        "an observation 'a.b' outside",
        r"\[1 7\]",
    ),
    "tuple": (Tuple([Discrete(2), PAIR]), (1, INSIDE), (1, OUTSIDE), "an observation 1 outside", r"\[1 7\]"),
    "deep": (
        Dict(a=Tuple([Dict(b=Discrete(2)), Discrete(2)])),
        {"a": ({"b": 1}, 1)},
        {"a": ({"b": -1}, 1)},
        "an observation 'a' 0 'b' outside",
        "-1, expected 0 to 1",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_value_outside_its_space_is_named_with_environment_step_key_and_seed(kind):
    space, inside, outside, noun, value = KINDS[kind]
    env = SyncVectorEnv([lambda: Shows(space, inside, inside), lambda: Shows(space, inside, outside)])
    adapter = EnvAdapter(env, 3)
    adapter.step(np.zeros(2, np.int64))  # what is inside passes, at both ends
    seed = adapter.seeds[1]
    message = rf"Shows returned {noun} its space at step 2, environment 1, seed {seed}: .*{value}"
    with pytest.raises(FaultyEnvironmentError, match=message):
        adapter.step(np.zeros(2, np.int64))


def test_a_value_outside_its_space_is_refused_at_reset_and_as_a_last_observation_too():
    with pytest.raises(FaultyEnvironmentError, match="outside its space at step 0, environment 0"):
        EnvAdapter(Shows(PAIR, OUTSIDE, OUTSIDE), 0)

    class Ends(Shows):
        def step(self, action):
            return self.value, 0.0, True, False, {}

    adapter = EnvAdapter(SyncVectorEnv([lambda: Ends(PAIR, INSIDE, OUTSIDE)], autoreset_mode=SAME_STEP), 0)
    with pytest.raises(FaultyEnvironmentError, match=r"outside its space at step 1, environment 0.*\[1 7\]"):
        adapter.step(np.zeros(1, np.int64))


def test_boxes_are_not_held_to_their_bounds():
    """Many an environment of Gymnasium exceeds them, by rounding or by far."""
    env = SyncVectorEnv([lambda: Shows(Box(0, 1, (1,)), np.zeros(1, np.float32), np.full(1, 2.0, np.float32))])
    assert [promise.low for promise in promises(env)] == [None]


# -- rewards and flags -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("rows", [[1], [0, 1]], ids=["one row", "all rows"])
@pytest.mark.parametrize("form", [SyncVectorEnv, AsyncVectorEnv])
def test_rewards_that_are_arrays_are_named(form, rows):
    space, zero = Box(-1, 1, (1,)), np.zeros(1, np.float32)
    makes = [lambda: Shows(space, zero, zero, np.array([0.5])), lambda: Shows(space, zero, zero)]
    env = form([makes[0] if row in rows else makes[1] for row in range(2)])
    adapter = EnvAdapter(env, 0)
    try:
        adapter.step(np.zeros(2, np.int64))
        where = rf"at step 2, environment {rows[0]}, seed {adapter.seeds[rows[0]]}.*\[0\.5\]"
        with pytest.raises(FaultyEnvironmentError, match=where):
            adapter.step(np.zeros(2, np.int64))
    finally:
        env.close()


class Columns(VectorEnv):
    """Its flags are columns, [B, 1]: with anything of shape [B] they would become [B, B]."""

    metadata = {"autoreset_mode": NEXT_STEP}
    num_envs = 2
    single_observation_space, observation_space = Box(-1, 1, (1,)), Box(-1, 1, (2, 1))
    single_action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        return np.zeros((2, 1), np.float32), {}

    def step(self, actions):
        flags = np.zeros((2, 1), bool)
        return np.zeros((2, 1), np.float32), np.ones(2), flags, flags, {}


def test_flags_must_be_one_a_row():
    with pytest.raises(FaultyEnvironmentError, match=r"a flag of shape \(2, 1\) at step 1"):
        EnvAdapter(Columns(), 0).step(np.zeros(2, np.int64))


# -- last observations -------------------------------------------------------------------------------------------------
class Counts(gym.Env):
    """Counts to `end` and is truncated; it shows the count as `show` says."""

    action_space = Discrete(2)

    def __init__(self, show="reused", end=3, modulus=100):
        self.show, self.end, self.modulus, self.resets = show, end, modulus, 0
        self.table = np.arange(100, dtype=np.float32)[:, None]  # a row of it is handed out again and again
        self.array = np.zeros(1, np.float32)
        numbers = Box(0, 100, (1,))
        self.observation_space = Dict(a=numbers, b=numbers) if show == "half" else numbers

    def seen(self):
        state = self.clock % self.modulus
        self.array[:] = state
        fresh = np.full(1, state, np.float32)
        return {"reused": self.array, "half": {"a": fresh, "b": self.array}, "table": self.table[state], "new": fresh}[
            self.show
        ]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.clock, self.resets = 0, self.resets + 1
        return self.seen(), {}

    def step(self, action):
        self.clock += 1
        return self.seen(), 1.0, False, self.clock >= self.end, {}


def play(env, steps=7):
    """Return the last observations of row 0's episodes."""
    try:
        adapter, last = EnvAdapter(env, 0), []
        for _ in range(steps):
            step = adapter.step(np.zeros(env.num_envs, np.int64))
            if step.done[0]:
                last.append(float(step.final[0, 0]))
        return last
    finally:
        env.close()


FORMS = {
    "sync": SyncVectorEnv,
    "async": AsyncVectorEnv,
    "pipes": lambda *makes, **mode: AsyncVectorEnv(*makes, shared_memory=False, **mode),
}


@pytest.mark.parametrize("show", ["reused", "half"])
@pytest.mark.parametrize("end", [1, 3])
@pytest.mark.parametrize("form", FORMS)
def test_a_last_observation_that_a_reset_has_overwritten_is_refused(form, end, show):
    env = FORMS[form]([lambda: Counts(show, end)] * 2, autoreset_mode=SAME_STEP)
    with pytest.raises(FaultyEnvironmentError, match=rf"at step {end}, environment 0.*NEXT_STEP"):
        play(env)


@pytest.mark.parametrize("form", FORMS)
def test_the_way_out_is_one(form):
    assert play(FORMS[form]([Counts] * 2, autoreset_mode=NEXT_STEP), 8) == [3.0, 3.0]


def test_an_environment_that_is_made_once_is_tried_in_a_copy():
    env = Counts()
    vector = SyncVectorEnv([lambda: env], autoreset_mode=SAME_STEP)
    with pytest.raises(FaultyEnvironmentError, match="NEXT_STEP"):
        play(vector)
    assert env.resets == 2  # the first, and that of the vector environment


@pytest.mark.parametrize("show", ["reused", "table", "new"])
@pytest.mark.parametrize("env", ["bandit", "loop"])
@pytest.mark.parametrize("form", ["sync", "async"])
def test_an_episode_may_end_where_it_begins(form, env, show):
    """In a bandit with one state, and in a loop of two, whatever array they show it in."""
    end, modulus = {"bandit": (1, 1), "loop": (2, 2)}[env]
    vector = FORMS[form]([lambda: Counts(show, end, modulus)] * 2, autoreset_mode=SAME_STEP)
    assert play(vector, 6) == [0.0] * (6 // end)


def test_last_observations_that_are_not_there_are_asked_for():
    class Forgets(Columns):
        metadata = {"autoreset_mode": SAME_STEP}

        def step(self, actions):
            observation, rewards, *_ = super().step(actions)
            return observation, rewards, np.array([True, False]), np.zeros(2, bool), {}

    with pytest.raises(FaultyEnvironmentError, match=r"Forgets .* at step 1.*'final_obs'.*NEXT_STEP"):
        EnvAdapter(Forgets(), 0).step(np.zeros(2, np.int64))


def test_environments_are_tried_once_and_only_where_a_last_observation_is_the_first():
    tried = []

    def make(end, modulus):
        tried.append(end)
        return Counts("new", end, modulus)

    play(SyncVectorEnv([lambda: make(3, 100)], autoreset_mode=SAME_STEP), 9)
    assert tried == [3]
    play(SyncVectorEnv([lambda: make(2, 2)], autoreset_mode=SAME_STEP), 9)
    assert tried == [3, 2, 2]
    for mode in (NEXT_STEP, DISABLED):
        play(SyncVectorEnv([lambda: make(5, 5)], autoreset_mode=mode), 9)
    assert tried == [3, 2, 2, 5, 5]


def without_bounds(found):
    return [one._replace(low=None, high=None) for one in found]


def one_more(found):
    return [one if one.high is None else one._replace(high=one.high + 1) for one in found]


def unseen_columns(adapter, promised, values, right=EnvAdapter._check):
    if promised is not adapter.flags:
        right(adapter, promised, values)


test_seeded_bugs = seeded(
    Bug(
        "observations may have values that their spaces have not",
        promises,
        with_result(promises, without_bounds),
        [test_a_value_outside_its_space_is_named_with_environment_step_key_and_seed],
    ),
    Bug(
        "one value more than a Discrete observation has is let in",
        promises,
        with_result(promises, one_more),
        [(test_a_value_outside_its_space_is_named_with_environment_step_key_and_seed, "discrete")],
    ),
    Bug("flags that are columns are broadcast", EnvAdapter._check, unseen_columns, [test_flags_must_be_one_a_row]),
    Bug(
        "last observations that a reset has overwritten are taken as they are",
        faults.overwrites,
        lambda env, row: False,
        [test_a_last_observation_that_a_reset_has_overwritten_is_refused],
    ),
    Bug(
        "an episode may not end where it begins",
        faults.overwrites,
        lambda env, row: True,
        [test_an_episode_may_end_where_it_begins],
        raises=FaultyEnvironmentError,
    ),
    Bug(
        "an environment that is in use is stepped in a trial",
        faults.overwrites,
        lambda env, row: faults._overwrites(env.unwrapped.env_fns[row]()),
        [test_an_environment_that_is_made_once_is_tried_in_a_copy],
    ),
)
