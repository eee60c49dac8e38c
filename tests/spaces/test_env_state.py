"""An environment that is put into another's state goes on with its bits: all of pg_envs, toy text, classic control."""

from functools import partial

import gymnasium as gym
import numpy as np
import pg_envs  # noqa: F401 - registers pg/…
import pytest
from gymnasium import wrappers
from gymnasium.envs.classic_control import CartPoleEnv
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.bugs import Bug, seeded
from support.states import Player, through_disk
from support.tiny_envs import Dice

import pg_agents as pg
from pg_agents.spaces import env_state
from pg_agents.spaces.env_state import obstacle, restore, state_of
from pg_agents.spaces.worker import WorkerState

MODES = list(AutoresetMode)
OURS = [name for name in gym.registry if name.startswith("pg/")]
GYMNASIUMS = [
    name
    for name, spec in gym.registry.items()
    if str(spec.entry_point).startswith(("gymnasium.envs.toy_text", "gymnasium.envs.classic_control"))
]
SIMULATIONS = [
    name
    for name, spec in gym.registry.items()
    if "gymnasium.envs.mujoco" in str(spec.entry_point) and name.endswith("-v5")
]
DETERMINISTIC = ("pg/Cliff-v0", "CliffWalking-v1")
CUTS = (1, 7, 18)
LATER = 25


def assert_goes_on(make, cuts=CUTS, random=True, later=LATER):
    """The later steps of an environment equal those of another that is put into its state, whatever that had played."""
    for cut in cuts:
        first, second = Player(make(), 1), Player(make(), 99)
        first.play(cut, seed=5)
        state = through_disk(state_of(first.env))
        ended = first.ended.copy()
        expected = first.play(later, seed=7)
        second.play(3, seed=8)
        restore(second.env, state)
        second.ended = ended
        assert second.play(later, seed=7) == expected
        if random:  # the state was needed: after as many steps of other seeds others follow
            third = Player(make(), 99)
            third.play(cut, seed=8)
            assert third.play(later, seed=7) != expected
            third.env.close()
        first.env.close()
        second.env.close()


def sync(name, mode, *, num_envs=2, **arguments):
    how = {"vectorization_mode": "sync", "vector_kwargs": {"autoreset_mode": mode}}
    return partial(gym.make_vec, name, num_envs, **how, **arguments)


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("name", OURS)
def test_ours_go_on(name, mode):
    random = name not in DETERMINISTIC
    assert_goes_on(partial(gym.make_vec, name, 3, autoreset_mode=mode), random=random)
    assert_goes_on(sync(name, mode), cuts=CUTS[1:2], random=random)


@pytest.mark.filterwarnings("ignore")  # Gymnasium's checker has remarks on its own environments
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("name", GYMNASIUMS)
def test_toy_text_and_classic_control_go_on(name, mode):
    assert_goes_on(sync(name, mode), random=name not in DETERMINISTIC)


def test_the_native_cart_pole_goes_on():
    assert_goes_on(partial(gym.make_vec, "CartPole-v1", 3, max_episode_steps=12))


CHAINS = {
    "none": lambda env: env,
    "frame stack": lambda env: wrappers.FrameStackObservation(env, 3),
    "padding": lambda env: wrappers.FrameStackObservation(env, 3, padding_type="zero"),
    "delay": lambda env: wrappers.DelayObservation(env, 2),
    "time": wrappers.TimeAwareObservation,
    "time, flat": lambda env: wrappers.FlattenObservation(wrappers.TimeAwareObservation(env, flatten=False)),
    "filter": lambda env: wrappers.FilterObservation(wrappers.TimeAwareObservation(env, flatten=False), ["obs"]),
    "clip reward": lambda env: wrappers.ClipReward(env, -0.5, 0.5),
    "normalized": lambda env: wrappers.NormalizeReward(wrappers.NormalizeObservation(env)),
    "sticky": lambda env: wrappers.StickyAction(env, 0.5),
    "repeated": lambda env: wrappers.StickyAction(env, 0.5, repeat_action_duration=(2, 5)),
    "skipped": lambda env: wrappers.MaxAndSkipObservation(env, 2),
    "dtype, reshape": lambda env: wrappers.ReshapeObservation(wrappers.DtypeObservation(env, np.float64), (1, 4)),
    "function": lambda env: wrappers.TransformObservation(env, lambda seen: 2 * seen, env.observation_space),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("chain", CHAINS)
def test_wrappers_go_on(chain, mode):
    def one():
        return CHAINS[chain](gym.make("CartPole-v1", max_episode_steps=15))

    assert_goes_on(lambda: SyncVectorEnv([one] * 2, autoreset_mode=mode))


@pytest.mark.filterwarnings("ignore")
def test_rescaled_actions_go_on():
    make = partial(gym.make_vec, "Pendulum-v1", 2, vectorization_mode="sync")
    assert_goes_on(partial(make, wrappers=[lambda env: wrappers.RescaleAction(env, -1, 1)]))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "wrapped",
    [
        wrappers.vector.NormalizeObservation,
        wrappers.vector.NormalizeReward,
        lambda env: wrappers.vector.ClipReward(env, -0.5, 0.5),
        lambda env: wrappers.vector.FlattenObservation(env),
    ],
)
def test_wrappers_of_vector_environments_go_on(wrapped):
    assert_goes_on(lambda: wrapped(gym.make_vec("CartPole-v1", 2, vectorization_mode="sync", max_episode_steps=15)))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SIMULATIONS)
def test_simulations_of_mujoco_go_on(name):
    pytest.importorskip("mujoco")
    assert_goes_on(partial(gym.make_vec, name, 1, "sync"), cuts=(3, 211), later=1000)


def test_counts_of_episodes_go_on():
    make = partial(gym.make_vec, "CartPole-v1", 2, vectorization_mode="sync", max_episode_steps=15)
    first, second = (wrappers.vector.RecordEpisodeStatistics(make()) for _ in range(2))
    first.reset(seed=0), second.reset(seed=1)
    for _ in range(40):
        first.step(first.action_space.sample())
    restore(second, through_disk(state_of(first)))
    assert list(second.return_queue) == list(first.return_queue) and second.return_queue.maxlen == 100
    assert second.episode_count == first.episode_count > 2
    assert (second.episode_lengths == first.episode_lengths).all()


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("name", ["CartPole-v1", "pg/Recall-v0"])
def test_workers_go_on_also_if_they_were_about_to_reset(name, mode):
    def make():
        how = {"worker": pg.worker, "autoreset_mode": mode}
        return gym.make_vec(name, 2, "async", how, max_episode_steps=5)

    assert_goes_on(make, cuts=(1, 5, 7))


def test_a_reset_before_the_next_step_forgets_that_a_worker_was_about_to_reset():
    def make():
        return gym.make_vec("CartPole-v1", 2, "async", {"worker": pg.worker}, max_episode_steps=3)

    first, second = Player(make(), 1), Player(make(), 2)
    first.play(3, seed=5)
    restore(second.env, through_disk(state_of(first.env)))
    first.env.reset(), second.env.reset()
    assert first.play(9, seed=6) == second.play(9, seed=6)
    first.env.close(), second.env.close()


def test_workers_that_are_gymnasiums_own_or_share_no_memory_have_no_state():
    for how in ({}, {"worker": pg.worker, "shared_memory": False}):
        env = gym.make_vec("CartPole-v1", 2, "async", how)
        env.reset(seed=0)
        assert state_of(env) is None and "pg_agents.worker" in obstacle(env)
        env.step(env.action_space.sample())  # they live
        env.close()


class Counted(Dice):
    """Dice with a state of its own."""

    def get_state(self):
        return {"version": 1, "clock": self.clock, "generator": self.np_random.bit_generator.state}

    def set_state(self, state):
        if state["version"] != 1:
            raise ValueError(f"state: version {state['version']} is not 1")
        self.clock, self.np_random.bit_generator.state = state["clock"], state["generator"]


class Later(gym.Wrapper):
    """Pays each reward one step later."""

    owed = 0.0

    def step(self, action):
        observation, reward, *rest = self.env.step(action)
        paid, self.owed = self.owed, reward
        return observation, paid, *rest

    def get_state(self):
        return self.owed

    def set_state(self, state):
        self.owed = state


class Undecided(Counted):
    def get_state(self):
        raise NotImplementedError("Undecided has none")


class Callable:
    def __call__(self, reward):
        return reward


class Grown(CartPoleEnv):
    """A class of somebody's, which may keep anything anywhere."""


def test_environments_and_wrappers_with_a_state_of_their_own_go_on():
    def one():
        return Later(gym.wrappers.TimeLimit(Counted(), 4))

    assert_goes_on(lambda: SyncVectorEnv([one] * 2))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (Dice, "Dice has no get_state"),
        (Undecided, "Undecided has none"),
        (Grown, "Grown has no get_state"),
        (lambda: wrappers.TimeLimit(Dice(), 3), "Dice"),
        (lambda: gym.Wrapper(Counted()), None),
        (lambda: type("Mine", (gym.Wrapper,), {})(Counted()), "Mine"),
        (lambda: wrappers.TransformReward(Counted(), abs), None),
        (lambda: wrappers.TransformReward(Counted(), Callable()), "Callable"),
    ],
)
def test_classes_that_nobody_knows_have_no_state(make, named):
    env = make()
    env.reset(seed=0)
    reason = obstacle(env)
    assert (state_of(env) is None) is (named is not None)
    assert reason is None if named is None else named in reason
    several = SyncVectorEnv([make])
    assert (state_of(several) is None) is (named is not None)


def test_a_state_of_another_environment_is_refused():
    cart, cliff = (gym.make(name).unwrapped for name in ("CartPole-v1", "CliffWalking-v1"))
    cart.reset(seed=0), cliff.reset(seed=0)
    with pytest.raises(ValueError, match="state: .*CartPoleEnv.*CliffWalkingEnv"):
        restore(cliff, state_of(cart))
    with pytest.raises(ValueError, match="state: "):
        restore(cart, {"anything": 1})
    two, three = (gym.make_vec("CartPole-v1", n, "sync") for n in (2, 3))
    two.reset(seed=0), three.reset(seed=0)
    with pytest.raises(ValueError, match="state: it holds 3 environments, and there are 2"):
        restore(two, state_of(three))


@pytest.mark.parametrize("name", ["render_mode", "step", "action_space", "__dict__", "nothing"])
def test_only_what_is_part_of_a_state_is_set(name):
    env = gym.make("CartPole-v1").unwrapped
    env.reset(seed=0)
    with pytest.raises(ValueError, match=f"state: .*{name}"):
        restore(env, state_of(env) | {name: "os:system"})


def test_a_simulation_of_another_model_is_refused():
    pytest.importorskip("mujoco")
    env = gym.make("Hopper-v5").unwrapped
    state = state_of(env)
    with pytest.raises(ValueError, match="state: a simulation of 3 numbers"):
        restore(env, state | {"data": state["data"] | {"integration": np.zeros(3)}})


def test_no_generator_but_numpys_is_made():
    env = gym.make("CartPole-v1")
    env.reset(seed=0)
    state = state_of(env)
    layer = state
    while "env" in layer:
        layer = layer["env"]
    layer["_np_random"]["bit_generator"] = "Generator"
    with pytest.raises(ValueError, match="bit generator"):
        restore(env, state)


@pytest.mark.parametrize("form", ["sync", "vector_entry_point"])
def test_a_state_is_not_changed_by_later_steps_and_can_be_used_twice(form):
    env = gym.make_vec("CartPole-v1", 2, form, max_episode_steps=12)
    player = Player(env, 0)
    player.play(5, seed=1)
    state = state_of(env)
    later = player.play(9, seed=2)
    for _ in range(2):
        restore(env, state)
        assert player.play(9, seed=2) == later


def _sharing(original):
    return lambda value: value if isinstance(value, np.ndarray) else original(value)


test_seeded_bugs = seeded(
    Bug(
        "generators are left out",
        env_state._generator,
        lambda value, state: value or np.random.default_rng(),
        [test_the_native_cart_pole_goes_on, test_a_state_is_not_changed_by_later_steps_and_can_be_used_twice],
    ),
    Bug(
        "workers forget that they were about to reset",
        WorkerState._reset_first,
        lambda self: None,
        [(test_workers_go_on_also_if_they_were_about_to_reset, "CartPole-v1-NEXT_STEP")],
    ),
    Bug(
        "a snapshot that shares its arrays",
        env_state._captured,
        _sharing(env_state._captured),
        [test_a_state_is_not_changed_by_later_steps_and_can_be_used_twice],
    ),
)
