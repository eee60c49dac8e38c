"""A collector that is put into another's state goes on with its bits, in the middle of episodes too."""

import copy
from dataclasses import replace
from functools import partial

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.bugs import Bug, seeded
from support.masked_envs import Doors
from support.states import bits, through_disk
from support.tiny_envs import Dice

import pg_agents as pg
from pg_agents.collection import collector as collector_module
from pg_agents.collection.actor import Actor
from pg_agents.errors import FaultyEnvironmentError
from pg_agents.training.loop import make_collector

MODES = list(AutoresetMode)
VALUES = ("steps", "seeds", "may_overwrite")  # of an adapter, on which the bits of rollouts do not depend
SHORT = {"num_steps": 7, "minibatch_size": 14, "epochs": 1}


class Saved(Doors):
    """Doors with a state."""

    def get_state(self):
        return {"open": self.open, "clock": self.clock, "generator": self.np_random.bit_generator.state}

    def set_state(self, state):
        self.open, self.clock = state["open"].copy(), state["clock"]
        self.np_random.bit_generator.state = state["generator"]


def sync(name, mode=AutoresetMode.NEXT_STEP, **arguments):
    return partial(gym.make_vec, name, 4, "sync", {"autoreset_mode": mode}, **arguments)


def workers():
    return gym.make_vec("CartPole-v1", 4, "async", {"worker": pg.worker}, max_episode_steps=7)


def doors(where, mode):
    return lambda: SyncVectorEnv([partial(Saved, where=where)] * 4, autoreset_mode=mode)


CASES = {
    "native": (pg.PPO, partial(gym.make_vec, "CartPole-v1", 4, max_episode_steps=12), SHORT),
    "workers": (pg.PPO, workers, SHORT),
    "memory": (pg.PPO, partial(gym.make_vec, "pg/Recall-v0", 4), SHORT | {"recurrent": 8}),
    "shared encoder": (pg.A2C, partial(gym.make_vec, "pg/Catch-v0", 4), {"num_steps": 5}),
    "scaled observations": (pg.PPO, sync("Pendulum-v1", max_episode_steps=9), SHORT | {"normalize_observations": True}),
    "episodes": (pg.Reinforce, sync("FrozenLake-v1"), {}),
    "episodes in a vector form": (pg.Reinforce, partial(gym.make_vec, "pg/Chain-v0", 4), {}),
    "groups by seeds": (pg.RLOO, sync("CartPole-v1", max_episode_steps=12), {"group_size": 2}),
    "groups of an environment": (pg.GRPO, partial(gym.make_vec, "pg/Copy-v0", 4, group_size=2), {"group_size": 2}),
    "texts": (pg.PPO, partial(gym.make_vec, "pg/Copy-v0", 4), {}),
    "steps of texts": (pg.PPO, partial(gym.make_vec, "pg/Copy-v0", 4), {"num_steps": 5, "minibatch_size": 10}),
    "texts one by one": (pg.PPO, sync("pg/Reverse-v0"), SHORT),
    **{f"{mode.name}": (pg.PPO, sync("Taxi-v4", mode, max_episode_steps=7), SHORT) for mode in MODES},
    **{f"masks, {mode.name}": (pg.PPO, doors("info", mode), SHORT) for mode in MODES},
    "masks in observations": (pg.PPO, doors("observation", AutoresetMode.SAME_STEP), SHORT),
}


def learned(agent, collector, updates):
    """Return the bits of rollouts and of parameters over some updates."""
    seen = []
    for _ in range(updates):
        rollout = next(collector)
        seen.append(bits(replace(rollout, encoder_version=None)))  # which counts changes of these very parameters
        agent.update(rollout)
        seen.append(bits([parameter.detach() for parameter in agent.policy.parameters()]))
    return seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_a_collector_goes_on_to_the_bit(case):
    kind, make, options = CASES[case]
    for cut in (1, 2):
        first, second = make(), make()
        agent = kind.for_env(first, seed=0, **options)
        collector = make_collector(agent, first, seed=0)
        learned(agent, collector, cut)
        state, twin = through_disk(collector.get_state()), copy.deepcopy(agent)
        other = make_collector(twin, second, seed=99)
        next(other)
        other.adapter.seeds, other.adapter.may_overwrite = 1, not collector.adapter.may_overwrite
        beside, other.adapter.masks.beside = collector.adapter.masks.beside, None
        other.actor.shown -= 1
        other.set_state(state)
        assert other.adapter.masks.beside is beside and (other.actor.shown == collector.actor.shown).all()
        assert all(getattr(other.adapter, name) == getattr(collector.adapter, name) for name in VALUES)
        assert learned(twin, other, 3) == learned(agent, collector, 3)
        first.close(), second.close()


@pytest.mark.parametrize("case", ["native", "memory", "NEXT_STEP"])
def test_a_state_is_not_changed_by_later_rollouts(case):
    kind, make, options = CASES[case]
    env = make()
    collector = make_collector(kind.for_env(env, seed=0, **options), env, seed=0)
    next(collector)
    state = collector.get_state()
    before = through_disk(state)
    next(collector)
    assert bits(through_disk(state)) == bits(before)
    env.close()


def test_cuts_are_in_the_middle_of_episodes_and_at_their_ends():
    _, make, options = CASES["NEXT_STEP"]
    env = make()
    collector = make_collector(pg.PPO.for_env(env, seed=0, **options), env, seed=0)
    seen = set()
    for _ in range(12):
        next(collector)
        seen |= {"waits for its reset"} if not collector.adapter.valid.all() else set()
        seen |= {"begins"} if collector.adapter.episode_starts.any() else set()
        seen |= {"runs"} if (collector.adapter.times > 0).any() else set()
    assert seen == {"waits for its reset", "begins", "runs"}


def dice(**options):
    return SyncVectorEnv([partial(Dice, **options)] * 4)


def test_environments_without_a_state_begin_again_equally_in_every_restart():
    agent = pg.PPO.for_env(dice(), seed=0, **SHORT)
    collector = make_collector(agent, dice(), seed=0)
    assert collector.get_state() is None
    rollouts, actions = [], []
    for seed, before in ((5, 0), (5, 2), (6, 0)):
        one = make_collector(agent, dice(), seed=3)
        for _ in range(before):
            next(one)
        one.restart(seed)
        assert one.adapter.episode_starts.all() and one.adapter.valid.all() and not one.adapter.times.any()
        actions.append(one.actor.generator.initial_seed())
        rollouts.append(bits(next(one)))
    assert rollouts[0] == rollouts[1] != rollouts[2] and actions[0] == actions[1] != actions[2]
    assert rollouts[0] != bits(next(make_collector(agent, dice(), seed=5)))  # not those of the run with that seed


def test_groups_begin_with_other_seeds_after_a_restart():
    agent = pg.RLOO.for_env(dice(ends=0.5), seed=0, group_size=2)
    drawn = []
    for seed in (5, 5, 6):
        collector = make_collector(agent, dice(ends=0.5), seed=0)
        collector.restart(seed)
        next(collector)
        drawn.append(collector.adapter.seeds)
    assert drawn[0] == drawn[1] != drawn[2]
    assert drawn[0][0] == drawn[0][1] != drawn[0][2]


def test_a_state_of_another_number_of_environments_is_refused():
    make = partial(gym.make_vec, "pg/Catch-v0")
    agent = pg.A2C.for_env(make(2), seed=0)
    state = make_collector(agent, make(2), seed=0).get_state()
    with pytest.raises(ValueError, match="state: it has 2 environments, and there are 3"):
        make_collector(agent, make(3), seed=0).set_state(state)


class Broken(Saved):
    def get_state(self):
        raise RuntimeError("a disk is full")


class Unready(Saved):
    def set_state(self, state):
        raise RuntimeError("a port is closed")


@pytest.mark.parametrize(("kind", "said"), [(Broken, "at get_state.*disk"), (Unready, "at set_state.*port")])
def test_environments_that_fail_are_named(kind, said):
    env = SyncVectorEnv([kind] * 2)
    collector = make_collector(pg.A2C.for_env(env, seed=0), env, seed=0)
    with pytest.raises(FaultyEnvironmentError, match=f"{kind.__name__} failed {said}"):
        collector.set_state(collector.get_state())


def _forgetful(self, state):
    self.generator.set_state(torch.from_numpy(state["generator"]))
    self.shown = state["shown"].copy()


def _same_draws(self, state):
    memory = state["memory"]
    self.memory = None if memory is None else torch.from_numpy(memory)
    self.shown = state["shown"].copy()


def _reset_rows(adapter, state):
    ORIGINAL["set"](adapter, state | {"valid": np.ones_like(state["valid"])})


ORIGINAL = {"set": collector_module.set_adapter_state}
GOES_ON = test_a_collector_goes_on_to_the_bit
test_seeded_bugs = seeded(
    Bug("the memory is lost", Actor.set_state, _forgetful, [(GOES_ON, "memory")]),
    Bug("actions are drawn by a new generator", Actor.set_state, _same_draws, [(GOES_ON, "native")]),
    Bug("rows that wait take a step", collector_module.set_adapter_state, _reset_rows, [(GOES_ON, "NEXT_STEP")]),
)
