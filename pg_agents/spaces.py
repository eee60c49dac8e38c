"""Spaces as data: the environment's door for actions, and spaces to and from JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.policies.unsupported import UnsupportedSpaceError


def spaces_of(env: gym.Env | VectorEnv) -> tuple[gym.Space, gym.Space]:
    """Return the observation and action space of one environment of `env`."""
    if isinstance(env, VectorEnv):
        return env.single_observation_space, env.single_action_space
    if not isinstance(env, gym.Env):
        raise TypeError(f"env must be a gymnasium.Env or a gymnasium.vector.VectorEnv, got {type(env).__name__}")
    return env.observation_space, env.action_space


def action_door(space: gym.Space) -> Callable[[Tensor], NDArray[Any]]:
    """Return the function from a policy's actions (see `Policy.outward`), [B, …], to those the environment takes.

    Discrete and MultiDiscrete: `start` is added to the index. Box: integers are rounded, and everything is clipped to
    the bounds; here and nowhere else, so that the log-probability stays that of the action as sampled. All have the
    shape and, but for Discrete actions from 0, the dtype of the space.

    Raises:
        UnsupportedSpaceError: for any other space.
    """
    if isinstance(space, spaces.Discrete):
        start, kind = int(space.start), space.dtype
        if start == 0:
            return lambda actions: actions.numpy(force=True)
        return lambda actions: actions.numpy(force=True).astype(kind) + start
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        shape, first = space.shape, space.start if isinstance(space, spaces.MultiDiscrete) else 0
        return lambda actions: (actions.numpy(force=True).reshape(-1, *shape) + first).astype(space.dtype)
    if isinstance(space, spaces.Box):
        whole = np.rint if np.issubdtype(space.dtype, np.integer) else np.asarray
        return lambda actions: np.clip(
            whole(actions.numpy(force=True)).reshape(-1, *space.shape), space.low, space.high
        ).astype(space.dtype)
    raise UnsupportedSpaceError(
        f"action space {space} is not supported: use Discrete, MultiDiscrete, MultiBinary or Box"
    )


def space_to_json(space: gym.Space) -> dict[str, Any]:
    """Return a description of `space` from which `space_from_json` makes an equal one."""
    kind = type(space).__name__
    if isinstance(space, spaces.Discrete):
        return {"kind": kind, "n": int(space.n), "start": int(space.start)}
    if isinstance(space, spaces.Box):
        bounds = {"low": space.low.tolist(), "high": space.high.tolist()}
        return {"kind": kind, "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
    if isinstance(space, spaces.MultiDiscrete):
        return {"kind": kind, "nvec": space.nvec.tolist(), "start": space.start.tolist()}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": kind, "n": space.n if isinstance(space.n, int) else [int(n) for n in space.n]}
    if isinstance(space, spaces.Dict):
        return {"kind": kind, "spaces": {key: space_to_json(value) for key, value in space.items()}}
    if isinstance(space, spaces.Tuple):
        return {"kind": kind, "spaces": [space_to_json(value) for value in space.spaces]}
    raise UnsupportedSpaceError(
        f"space {space} cannot be saved: use Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple"
    )


def space_from_json(description: dict[str, Any]) -> gym.Space:
    """Return the space that `space_to_json` described."""
    kind = description["kind"]
    if kind == "Discrete":
        return spaces.Discrete(description["n"], start=description["start"])
    if kind == "Box":
        dtype = np.dtype(description["dtype"])
        low, high = (np.asarray(description[bound], dtype) for bound in ("low", "high"))
        return spaces.Box(low, high, tuple(description["shape"]), dtype.type)
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(description["nvec"], start=description["start"])
    if kind == "MultiBinary":
        return spaces.MultiBinary(description["n"])
    if kind == "Dict":
        return spaces.Dict({key: space_from_json(value) for key, value in description["spaces"].items()})
    if kind == "Tuple":
        return spaces.Tuple([space_from_json(value) for value in description["spaces"]])
    raise ValueError(f"unknown kind of space {kind!r}: the file is damaged or from a later version")
