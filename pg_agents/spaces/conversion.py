"""Conversions: sampled actions to the environment's form, spaces to and from JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.errors import UnsupportedSpaceError


def spaces_of(env: gym.Env | VectorEnv) -> tuple[gym.Space, gym.Space]:
    """Return the observation and action space of one environment of `env`."""
    if isinstance(env, VectorEnv):
        return env.single_observation_space, env.single_action_space
    check_env(env)
    return env.observation_space, env.action_space


def check_env(env: Any, name: str = "env") -> None:  # noqa: ANN401
    """Raise TypeError unless the argument `name` is an environment of Gymnasium, single or vector."""
    if isinstance(env, gym.Env | VectorEnv):
        return
    found, way_out = type(env).__name__, ""
    if isinstance(env, type):
        found, way_out = f"the class {env.__name__}", f"; make one: {env.__name__}(…)"
    elif callable(env):
        found, way_out = "a function", "; give what it returns"
    elif isinstance(env, list | tuple):
        way_out = "; gymnasium.vector.SyncVectorEnv([make, make, …]) makes one of functions that make them"
    elif type(env).__mro__[-2].__module__.startswith("gym."):
        way_out = " of gym, which Gymnasium has replaced; shimmy makes one of it"
    raise TypeError(f"{name} must be a gymnasium.Env or a gymnasium.vector.VectorEnv, got {found}{way_out}")


def to_env_action(space: gym.Space) -> Callable[[Tensor], NDArray[Any]]:
    """Return the function from actions in the environment's units, [B, …], to arrays that the environment accepts.

    The function is applied after `Policy.unscale_action`. Discrete and MultiDiscrete: `start` is added to the index.
    Box: integers are rounded and values clipped to the bounds; clipping happens only here, so that the log-probability
    stays that of the sampled action. Results have the shape and the dtype of the space.

    Raises:
        UnsupportedSpaceError: `space` is of another kind.
    """
    if isinstance(space, spaces.Discrete):
        start, kind = int(space.start), space.dtype
        if start == 0 and kind == np.int64:
            return lambda actions: actions.numpy(force=True).copy()  # environments may write to what they are given
        return lambda actions: (actions.numpy(force=True) + start).astype(kind)
    if isinstance(space, spaces.MultiDiscrete | spaces.MultiBinary):
        shape, first = space.shape, space.start if isinstance(space, spaces.MultiDiscrete) else 0
        return lambda actions: (actions.numpy(force=True).reshape(-1, *shape) + first).astype(space.dtype)
    if isinstance(space, spaces.Box):
        whole, (low, high) = np.rint if np.issubdtype(space.dtype, np.integer) else np.asarray, bounds_of(space)
        return lambda actions: np.clip(whole(actions.numpy(force=True)).reshape(-1, *space.shape), low, high).astype(
            space.dtype
        )
    raise UnsupportedSpaceError(
        f"action space {space} is not supported: use Discrete, MultiDiscrete, MultiBinary or Box"
    )


def bounds_of(space: spaces.Box) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the bounds of a Box; integer bounds as the nearest floats inside, as 2⁶³ − 1 would round up to 2⁶³."""
    if not np.issubdtype(space.dtype, np.integer):
        return space.low, space.high
    low, high = space.low.astype(np.float64), space.high.astype(np.float64)
    below, above = low.astype(object) < space.low.astype(object), high.astype(object) > space.high.astype(object)
    return np.where(below, np.nextafter(low, np.inf), low), np.where(above, np.nextafter(high, -np.inf), high)


def space_to_json(space: gym.Space) -> dict[str, Any]:
    """Return a JSON description of `space`, from which `space_from_json` makes an equal space.

    Raises:
        UnsupportedSpaceError: it is not a Box, Discrete, MultiDiscrete or MultiBinary, nor a Dict or Tuple of them.
    """
    if isinstance(space, spaces.Discrete):
        return {"kind": "Discrete", "n": int(space.n), "start": int(space.start), "dtype": str(space.dtype)}
    if isinstance(space, spaces.Box):
        bounds = {"low": _strict(space.low.tolist()), "high": _strict(space.high.tolist())}
        return {"kind": "Box", "shape": list(space.shape), "dtype": str(space.dtype), **bounds}
    if isinstance(space, spaces.MultiDiscrete):
        counts = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
        return {"kind": "MultiDiscrete", **counts, "dtype": str(space.dtype)}
    if isinstance(space, spaces.MultiBinary):
        return {"kind": "MultiBinary", "n": space.n if isinstance(space.n, int) else [int(n) for n in space.n]}
    if isinstance(space, spaces.Dict):  # pairs: in JSON the keys of an object are texts
        return {"kind": "Dict", "spaces": [[_plain_key(key), space_to_json(value)] for key, value in space.items()]}
    if isinstance(space, spaces.Tuple):
        return {"kind": "Tuple", "spaces": [space_to_json(value) for value in space.spaces]}
    raise UnsupportedSpaceError(
        f"space {space} cannot be saved: use Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple"
    )


def _plain_key(key: Any) -> Any:  # noqa: ANN401
    """Return a key of a Dict; UnsupportedSpaceError where JSON would change it."""
    if isinstance(key, int | float | None) or (isinstance(key, str) and not re.search("[\ud800-\udfff]", key)):
        return key
    raise UnsupportedSpaceError(f"a Dict's key {key!r} cannot be saved: use a text or a number")


def _strict(bound: Any) -> Any:  # noqa: ANN401
    """Return numbers, nested in lists, with infinities and NaN as strings, since JSON has no such numbers."""
    if isinstance(bound, list):
        return [_strict(part) for part in bound]
    return bound if math.isfinite(bound) else str(bound)


def space_from_json(description: dict[str, Any]) -> gym.Space:
    """Return the space that `space_to_json` described; files of earlier versions lack some dtypes, which were int64."""
    kind, dtype = description["kind"], np.dtype(description.get("dtype", "int64"))
    if kind == "Discrete":
        return spaces.Discrete(description["n"], start=description["start"], dtype=dtype.type)
    if kind == "Box":
        low, high = (np.asarray(description[bound], dtype).reshape(description["shape"]) for bound in ("low", "high"))
        return spaces.Box(low, high, dtype=dtype.type)
    if kind == "MultiDiscrete":
        return spaces.MultiDiscrete(description["nvec"], dtype.type, start=description["start"])
    if kind == "MultiBinary":
        return spaces.MultiBinary(description["n"])
    if kind == "Dict":
        parts = description["spaces"]  # earlier versions wrote an object, in the order of the space's keys
        pairs = parts.items() if isinstance(parts, dict) else parts
        return spaces.Dict([(key, space_from_json(value)) for key, value in pairs])
    if kind == "Tuple":
        return spaces.Tuple([space_from_json(value) for value in description["spaces"]])
    raise ValueError(f"unknown kind of space {kind!r}: the file is damaged or from a later version")


def difference(theirs: gym.Space, mine: gym.Space, path: str = "") -> str:
    """Return the first difference of two spaces, like "dtype int32 instead of int64 at ['a']"; "" if they are equal."""
    where = f" at {path}" if path else ""
    if theirs == mine:
        return ""
    if type(theirs) is not type(mine):
        return f"{brief(theirs)} instead of {brief(mine)}{where}"
    if isinstance(mine, spaces.Dict | spaces.Tuple):
        parts, known = _parts(theirs), _parts(mine)
        if parts.keys() != known.keys():
            return f"the keys {brief(list(parts))} instead of {brief(list(known))}{where}"
        return next(filter(None, (difference(parts[key], known[key], f"{path}[{key!r}]") for key in known)), "")
    for name in ("dtype", "shape", "n"):
        if (one := getattr(theirs, name, None)) != (other := getattr(mine, name, None)):
            return f"{name} {brief(one)} instead of {brief(other)}{where}"
    for name in ("start", "nvec", "low", "high"):
        ours, other = np.asarray(getattr(mine, name, 0)), np.asarray(getattr(theirs, name, 0))
        for index in np.argwhere(ours != other).tolist()[:1]:
            entry = tuple(index)
            return f"{name}{index or ''} {other[entry]} instead of {ours[entry]}{where}"
    return f"{brief(theirs)} instead of {brief(mine)}{where}"


def _parts(space: Any) -> dict[Any, gym.Space]:  # noqa: ANN401
    return dict(space.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces))


def brief(value: Any) -> str:  # noqa: ANN401
    """Return `str(value)` on one line, cut at 100 characters."""
    text = " ".join(str(value).split())
    return text if len(text) <= 100 else f"{text[:97]}..."
