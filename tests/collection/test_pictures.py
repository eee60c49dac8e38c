"""Pictures stay bytes, and the same bytes, from the environment to the minibatch."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.collection import collectors, rows_in_place
from pg_agents.collection.actor import Actor
from pg_agents.collection.rollout_builder import RolloutBuilder
from pg_agents.collection.rows_in_place import RowsInPlace
from pg_agents.data.minibatches import minibatches
from pg_agents.data.tree import tree_leaves, tree_map

B, T = 3, 8


def pixels(*shape):
    return spaces.Box(0, 255, shape, np.uint8)


SPACES = {
    "frames": pixels(4, 36, 36),
    "colour": pixels(36, 36, 3),
    "frames of colour": pixels(2, 36, 36, 3),
    "one channel": pixels(36, 36),
    "beside numbers": spaces.Dict({"picture": pixels(4, 36, 36), "speed": spaces.Box(-1, 1, (2,), np.float32)}),
}


class Album(gym.vector.VectorEnv):
    """Random pictures, always in the same array; row 1 is cut at every third step. `shown` keeps copies."""

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}
    num_envs = B

    def __init__(self, space):
        self.single_observation_space, self.single_action_space = space, spaces.Discrete(3)
        self.observation_space = batch_space(space, B)
        self.action_space = batch_space(self.single_action_space, B)
        self.observation_space.seed(0)
        self.array, self.shown, self.last, self.t = tree_map(np.copy, self.observation_space.sample()), [], [], 0

    def _next(self):
        tree_map(np.copyto, self.array, self.observation_space.sample())
        self.shown.append(tree_map(np.copy, self.array))
        return self.array

    def reset(self, *, seed=None, options=None):
        return self._next(), {}

    def step(self, actions):
        self.t += 1
        cut = np.array([False, self.t % 3 == 0, False])
        infos = {}
        if cut.any():
            self.last.append(self.observation_space.sample())
            infos["final_obs"] = self.last[-1]
        return self._next(), np.ones(B), np.zeros(B, bool), cut, infos


def is_bytes(tree, space):
    """Whether the leaves have the dtypes of their spaces, and pictures take one byte a pixel."""
    promised = space.values() if isinstance(space, spaces.Dict) else [space]
    return all(
        str(leaf.dtype).removeprefix("torch.") == str(one.dtype)
        for leaf, one in zip(tree_leaves(tree), promised, strict=True)
    )


def same(tree, other):
    pairs = zip(tree_leaves(tree), tree_leaves(other), strict=True)
    return all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)


@pytest.fixture(params=SPACES)
def album(request):
    return Album(SPACES[request.param])


def made(album):
    agent = pg.PPO.for_env(album, seed=0, num_steps=T, minibatch_size=6, epochs=1)
    return agent, pg.collect_steps(album, agent.policy, T, seed=0)


def test_the_actor_sees_bytes_and_keeps_a_copy_of_them(album):
    collector = made(album)[1]
    assert is_bytes(collector.adapter.observation, album.single_observation_space)
    _, decision = collector.actor.act()
    assert is_bytes(decision.observation, album.single_observation_space)
    album._next()  # overwrites the array
    assert same(decision.observation, album.shown[-2])


def test_a_rollout_holds_the_bytes_that_were_shown(album):
    rollout = next(made(album)[1])
    assert is_bytes(rollout.observations, album.single_observation_space)
    shown = tree_map(lambda *leaves: np.stack(leaves), *album.shown[-T - 1 : -1])
    assert same(rollout.observations, shown)
    held = sum(leaf.nbytes for leaf in tree_leaves(rollout.observations))
    assert held == sum(leaf.nbytes for leaf in tree_leaves(shown))


def test_last_observations_are_bytes_too(album):
    rollout = next(made(album)[1])
    final = rollout.final_observations
    assert is_bytes(final, album.single_observation_space)
    for i, (t, row) in enumerate(rollout.final_rows.tolist()):
        true = album.shown[-1] if t == T - 1 else album.last[t // 3]
        assert same(tree_map(lambda leaf, at=i: leaf[at], final), tree_map(lambda leaf, at=row: leaf[at], true))
    assert rollout.final_rows.tolist() == [[2, 1], [5, 1], [7, 0], [7, 1], [7, 2]]


def test_a_batch_holds_the_rollouts_own_bytes_and_minibatches_their_rows(album):
    agent, collector = made(album)
    rollout = next(collector)
    with torch.no_grad():
        batch, _ = agent.prepare(rollout)
    pairs = zip(tree_leaves(batch.observations), tree_leaves(rollout.observations), strict=True)
    assert all(own.data_ptr() == given.data_ptr() for own, given in pairs)  # no copy
    parts = list(minibatches(batch, 6, torch.Generator().manual_seed(0), unit="step"))
    assert all(is_bytes(part.observations, album.single_observation_space) for part in parts)
    order = torch.randperm(T * B, generator=torch.Generator().manual_seed(0))
    dealt = tree_map(lambda *leaves: torch.cat(leaves), *(part.observations for part in parts))
    assert same(dealt, tree_map(lambda leaf: leaf.flatten(0, 1)[order], rollout.observations))


def rollout_with(album, monkeypatch, large):
    """The second rollout of a collector that takes observations of `large` bytes for large."""
    monkeypatch.setattr(rows_in_place, "LARGE", large)
    collector = made(album)[1]
    next(collector)
    return next(collector)


@pytest.mark.parametrize("name", SPACES)
def test_large_observations_are_written_once_and_are_those_that_a_list_would_hold(name, monkeypatch):
    placed, stacked = (rollout_with(Album(SPACES[name]), monkeypatch, large) for large in (1, 10**9))
    assert is_bytes(placed.observations, SPACES[name])
    for field in ("observations", "final_observations", "actions", "log_probs", "rewards", "truncated", "final_rows"):
        assert same(getattr(placed, field), getattr(stacked, field)), field


def test_pictures_of_atari_are_large_and_carts_are_not():
    assert collectors.are_large(np.zeros((8, 4, 84, 84), np.uint8))
    assert collectors.are_large({"picture": np.zeros((8, 4, 84, 84), np.uint8), "speed": np.zeros((8, 2))})
    assert not collectors.are_large(np.zeros((128, 4), np.float32))


def test_steps_do_not_share_their_rows():
    rows = RowsInPlace(np.zeros((2, 3), np.uint8), 3)
    seen = [rows.copied(np.full((2, 3), i, np.uint8)) for i in range(3)]
    assert [one.max() for one in seen] == [0, 1, 2] and rows.complete
    assert all(np.shares_memory(one, rows.whole) for one in seen)


class Widening(Album):
    """Its fourth observation has numbers of two bytes."""

    def _next(self):
        seen = super()._next()
        return seen.astype(np.uint16) if len(self.shown) == 4 else seen


def test_an_observation_of_another_dtype_is_kept_as_it_is(monkeypatch):
    monkeypatch.setattr(rows_in_place, "LARGE", 1)
    album = Widening(pixels(36, 36, 3))
    rollout = next(made(album)[1])
    assert rollout.observations.dtype == torch.uint16  # as np.stack has it
    assert np.array_equal(rollout.observations.numpy(), np.stack(album.shown[-T - 1 : -1]))


def _as_floats(builder, *leaves):
    return torch.from_numpy(np.stack(leaves)).float()


def _without_copies(actor, *, act=Actor.act, **given):
    actions, decision = act(actor, **given)
    return actions, decision._replace(observation=actor.adapter.observation)


def _shifted(rows, whole, leaf):
    whole[rows.t - 1] = leaf
    return leaf.copy()


test_seeded_bugs = seeded(
    Bug(
        "a rollout holds pictures as numbers of four bytes",
        RolloutBuilder._stack,
        _as_floats,
        [test_a_rollout_holds_the_bytes_that_were_shown],
    ),
    Bug(
        "observations are written a step too early",
        RowsInPlace._copied,
        _shifted,
        [test_large_observations_are_written_once_and_are_those_that_a_list_would_hold],
    ),
    Bug(
        "observations are kept without a copy",
        Actor.act,
        _without_copies,
        [test_the_actor_sees_bytes_and_keeps_a_copy_of_them],
    ),
)


def test_features_are_kept_in_the_rows_of_their_steps():
    rows = RowsInPlace(np.zeros((2, 3)), 3)
    for step in range(3):
        rows.copied(np.full((2, 3), step))
        kept = rows.keep_features(torch.full((2, 4), float(step)))
        assert (kept == step).all()
    assert [set(row.flatten().tolist()) for row in rows.features] == [{0.0}, {1.0}, {2.0}]
