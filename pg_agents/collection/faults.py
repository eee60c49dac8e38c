"""Detects environments that return invalid arrays or overwrite their last observations."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import closing
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from pg_agents.data.tree import Tree, tree_leaves, tree_map
from pg_agents.spaces.action_masks import MASK, MEANING
from pg_agents.spaces.worker import worker

TRIAL_STEPS, TRIAL_EPISODES = 5_000, 10


# -- arrays that an environment returns --------------------------------------------------------------------------------
class Fault(NamedTuple):
    """What is wrong with an array: a description, the expectation, the first such row (None: all), its value."""

    text: str
    expected: str
    row: int | None
    value: Any


class Promise(NamedTuple):
    """The shape and the bounds that an array returned for all environments must have.

    Attributes:
        noun: the array's name for messages, "an observation 'position'".
        path: its keys in the returned tree.
        shape: [B, …].
        low: the least values of a space of integers; None: any finite number is valid.
        high: the greatest values.
    """

    noun: str
    path: tuple[Any, ...]
    shape: tuple[int, ...]
    low: NDArray[Any] | None = None
    high: NDArray[Any] | None = None

    def fault(self, tree: Tree) -> Fault | None:
        """Return what is wrong with the array in `tree`, or None."""
        for key in self.path:
            tree = tree[key]
        values = np.asarray(tree)
        if values.shape != self.shape:
            row = 0 if values.shape[:1] == self.shape[:1] else None
            return Fault(f"of shape {values.shape}", f"{self.shape}", row, values if row is None else values[row])
        if self.low is None or self.high is None:
            pass
        elif (wrong := (values < self.low) | (values > self.high)).any():
            row = _first(wrong)
            return Fault("outside its space", f"{self.low[row]} to {self.high[row]}", row, values[row])
        if values.dtype.kind != "f" or np.isfinite(values).all():
            return None
        row = _first(~np.isfinite(values))
        return Fault("that is not finite", "numbers", row, values[row])


def _first(wrong: NDArray[np.bool_]) -> int:
    return int(np.argwhere(wrong)[0][0])


def promises(env: VectorEnv) -> list[Promise]:
    """Return what the observations of all environments must be."""
    found = _promises(env.observation_space, env.single_observation_space, "an observation", ())
    return [one._replace(noun=f"{one.noun} ({MEANING})") if one.path == (MASK,) else one for one in found]


def _promises(space: gym.Space, single: gym.Space, noun: str, path: tuple[Any, ...]) -> Iterator[Promise]:
    inner: Any = space.spaces if isinstance(space, spaces.Dict | spaces.Tuple) else None
    if inner is not None:
        for key in inner if isinstance(space, spaces.Dict) else range(len(inner)):
            yield from _promises(inner[key], single[key], f"{noun} {key!r}", (*path, key))  # type: ignore[index]
        return
    bounds: tuple[Any, ...] = ()
    if isinstance(space, spaces.MultiDiscrete):  # Gymnasium's batch of Discrete spaces
        bounds = space.start, space.start + space.nvec - 1
    elif isinstance(space, spaces.Box) and isinstance(single, spaces.MultiDiscrete | spaces.MultiBinary):
        bounds = space.low, space.high
    yield Promise(noun, path, space.shape or (), *bounds)


# -- last observations that are overwritten ----------------------------------------------------------------------------
def with_rows(observation: Tree, final: Any, done: NDArray[np.bool_]) -> Tree:  # noqa: ANN401
    """Return `observation` with the rows `done` replaced by those of `final` (arrays, or one tree for each row)."""
    if isinstance(final, np.ndarray) and final.dtype == object:
        rows = tree_map(lambda *leaves: np.stack(leaves), *final[done])
    else:
        rows = tree_map(lambda leaf: leaf[done], final)
    return tree_map(lambda whole, some: _put(np.array(whole), some, done), observation, rows)  # by key: orders differ


def _put(whole: NDArray[Any], some: NDArray[Any], done: NDArray[np.bool_]) -> NDArray[Any]:
    whole[done] = some
    return whole


def may_overwrite(env: VectorEnv) -> bool:
    """Return whether Gymnasium's own code resets single environments, which keeps no copy of their observations."""
    core = env.unwrapped
    return isinstance(core, SyncVectorEnv | AsyncVectorEnv) and getattr(core, "worker", None) in (None, worker)


def unchanged_rows(final: Tree, observation: Tree, done: NDArray[np.bool_]) -> list[int]:
    """Return the done rows whose last observation, or an array of it, equals the first one of the next episode."""
    pairs = list(zip(tree_leaves(final), tree_leaves(observation), strict=True))
    return [int(row) for row in np.flatnonzero(done) if any(np.array_equal(a[row], b[row]) for a, b in pairs)]


def overwrites(env: VectorEnv, row: int) -> bool:
    """Return whether a trial shows that resetting the environment of a row overwrites an episode's last observation.

    The trial takes random actions in a new environment, at most 10 episodes and 5,000 steps. True is certain; a trial
    that fails, or in which no episode ends, returns False.
    """
    core: Any = env.unwrapped
    try:
        single = core.env_fns[row]()
        if any(single.unwrapped is one.unwrapped for one in getattr(core, "envs", ())):
            single = copy.deepcopy(single)  # it is in use
        with closing(single):
            return _overwrites(single)
    except (Exception, SystemExit):
        return False


def _overwrites(env: gym.Env) -> bool:
    episodes = 0
    env.action_space.seed(0)
    env.reset(seed=0)
    for _ in range(TRIAL_STEPS):
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            last, episodes = tree_map(np.array, observation), episodes + 1
            env.reset()
            if not all(map(np.array_equal, tree_leaves(last), tree_leaves(observation))):
                return True
            if episodes == TRIAL_EPISODES:
                break
    return False
