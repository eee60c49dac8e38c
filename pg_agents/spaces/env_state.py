"""The state of an environment, from which another one, made in the same way, goes on with the same bits.

An environment, single or vector, or a wrapper has a state if it has the methods

    get_state() → a `State`: numpy arrays, numbers, texts and None in dicts (with texts as keys), lists and tuples
    set_state(state)

such that an environment which was set into the state of another returns equal bits for equal actions, whatever it had
played before. The state holds all that reset and step change, in arrays that later steps do not change; the generator's
is `self.np_random.bit_generator.state`. A "version" in it lets later versions of the class refuse it or read it. A
wrapper's state is its own alone: the environment in it is asked for its own. NotImplementedError says that there is
none.

Gymnasium's own classes (`MODULES`) have no such methods. Of their objects all attributes are taken that are numbers,
texts, arrays, generators, and lists, dicts and queues of them; functions that were given to them are taken for
functions without a state. A class that is neither has no state, as nobody knows where it keeps what.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, VectorEnv

from pg_agents.data.state import State
from pg_agents.errors import NoStateError
from pg_agents.spaces.mujoco_state import is_simulation, set_simulation_state, simulation_state

MODULES = (
    "gymnasium.core",
    "gymnasium.envs.classic_control",
    "gymnasium.envs.mujoco",
    "gymnasium.envs.toy_text",
    "gymnasium.vector",
    "gymnasium.wrappers",
)
RENDERING = "gymnasium.wrappers.rendering"  # writes files
GET, RESTORE = "get_worker_state", "set_worker_state"  # in a worker, attributes of its environment
MADE = ("P", "metadata", "render_mode", "env_fns", "_saved_kwargs", "_ezpickle_args", "_ezpickle_kwargs", GET, RESTORE)
MUJOCO = ("model", "fullpath", "mujoco_renderer")
CHECKED = ("checked_reset", "checked_step", "checked_render", "checked_data_reuse", "_previous_data", "close_called")
CLOCKS = ("episode_start_time", "episode_start_times")
FIXED = frozenset(MADE + MUJOCO + CHECKED + CLOCKS)  # attributes on which no later step depends
PLAIN = (type(None), bool, int, float, str, np.generic)
WITHOUT_STATE = (
    *(Enum, gym.Space, EnvSpec, type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType, partial),
    np.ufunc,
)


def state_of(env: gym.Env | VectorEnv) -> State | None:
    """Return the state of an environment with all its wrappers; None if one of them has none."""
    try:
        return _captured(env)
    except NoStateError:
        return None


def obstacle(env: gym.Env | VectorEnv) -> str | None:
    """Return why an environment has no state, in a few words; None if it has one."""
    try:
        _captured(env)
    except NoStateError as error:
        return str(error)
    return None


def restore(env: gym.Env | VectorEnv, state: State) -> None:
    """Put an environment that was made in the same way, and was reset, into a state of `state_of`.

    Raises:
        ValueError: the state is of other classes of environments or wrappers, of another number of them, or of another
            version.
    """
    try:
        _restored(env, state)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"state: it is none of {class_of(env)}: {type(error).__name__}: {error}") from error


def _captured(value: Any) -> State:  # noqa: ANN401
    if isinstance(value, PLAIN) and not isinstance(value, Enum):
        return value
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return value.copy()
    if isinstance(value, np.random.Generator):
        return value.bit_generator.state
    if isinstance(value, tuple):
        return tuple(map(_captured, value))
    if isinstance(value, list | deque):
        return list(map(_captured, value))
    if isinstance(value, dict):
        return {key: _captured(item) for key, item in value.items()}
    if is_simulation(value):
        return simulation_state(value)
    if isinstance(value, AsyncVectorEnv):
        return {"class": class_of(value), "rows": _of_workers(value)}
    if _has_methods(value):
        inner = {"env": _captured(value.env)} if isinstance(value, gym.Wrapper | gym.vector.VectorWrapper) else {}
        return {"class": class_of(value), "own": _own(value), **inner}
    if _is_known(value):
        return {"class": class_of(value), **_attributes(value, _captured)}
    raise NoStateError(f"{class_of(value)} has no get_state and set_state")


def _attributes(owner: Any, function: Callable[[Any], Any]) -> dict[str, Any]:  # noqa: ANN401
    """Return function(value) of the attributes that may change."""
    names = {name: value for name, value in vars(owner).items() if name not in FIXED}
    return {name: function(value) for name, value in names.items() if not _is_without_state(value)}


def _is_without_state(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, WITHOUT_STATE) or type(value).__module__.partition(".")[0] == "pygame"


def _is_known(value: Any) -> bool:  # noqa: ANN401
    module = type(value).__module__
    return any(f"{module}.".startswith(f"{known}.") for known in MODULES) and module != RENDERING


def _is_object(value: Any) -> bool:  # noqa: ANN401
    return isinstance(value, AsyncVectorEnv) or _has_methods(value) or _is_known(value)


def _has_methods(value: Any) -> bool:  # noqa: ANN401
    return all(hasattr(type(value), name) for name in ("get_state", "set_state"))


def _own(value: Any) -> State:  # noqa: ANN401
    try:
        return value.get_state()
    except NotImplementedError as error:
        raise NoStateError(str(error) or f"{class_of(value)} has no state") from error


def class_of(value: Any) -> str:  # noqa: ANN401
    """Return what a state says of the class of an environment."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _of_workers(env: AsyncVectorEnv) -> list[State]:
    """Return the states of the rows; each says too whether its worker will reset instead of taking the next step."""
    if not env.shared_memory or not all(env.call("has_wrapper_attr", GET)):
        raise NoStateError("an AsyncVectorEnv needs worker=pg_agents.worker, and shared_memory=True")
    rows = list(env.call(GET))
    if None in rows:
        raise NoStateError("its environments have no state")
    return rows


def _restored(value: Any, state: State) -> Any:  # noqa: ANN401
    """Return what `state` stands for: `value` itself, changed, if it is an object; else a new value."""
    if isinstance(value, deque):
        value.clear()
        value.extend(state)
        return value
    if isinstance(value, np.random.Generator | None) and isinstance(state, dict) and "bit_generator" in state:
        return _generator(value, state)
    if is_simulation(value):
        set_simulation_state(value, state)
        return value
    if _is_object(value):
        return _object_restored(value, state)
    if isinstance(value, list) and any(map(_is_object, value)):
        if len(value) != len(state):
            raise ValueError(f"state: it holds {len(state)} environments, and there are {len(value)}")
        return [_restored(item, part) for item, part in zip(value, state, strict=True)]
    return state.copy() if isinstance(state, np.ndarray) else state


def _object_restored(value: Any, state: dict[str, State]) -> Any:  # noqa: ANN401
    kind = state.get("class") if isinstance(state, dict) else state
    if kind != class_of(value):
        raise ValueError(f"state: it is one of {kind}, and the environment has {class_of(value)} there")
    if isinstance(value, AsyncVectorEnv):
        value.reset()  # forgets which rows the workers were about to reset
        value.call(RESTORE, state["rows"])
    elif _has_methods(value):
        value.set_state(state["own"])
        if "env" in state:
            _restored(value.env, state["env"])
    else:
        for name, part in state.items():
            if name != "class":
                _set_attribute(value, name, part)
    return value


def _set_attribute(owner: Any, name: str, part: State) -> None:  # noqa: ANN401
    own = getattr(owner, name)
    if name in FIXED or name.startswith("__") or callable(own) or _is_without_state(own):
        raise ValueError(f"state: {name!r} of {class_of(owner)} is no part of a state")
    setattr(owner, name, _restored(own, part))


def _generator(value: Any, state: dict[str, State]) -> np.random.Generator:  # noqa: ANN401
    """Return a generator in a state: `value` if it is one, which others may share; else a new one."""
    kind = state["bit_generator"]
    if not isinstance(value, np.random.Generator) or value.bit_generator.state["bit_generator"] != kind:
        if kind not in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
            raise ValueError(f"state: {kind!r} is no bit generator of numpy")
        value = np.random.Generator(getattr(np.random, kind)())
    value.bit_generator.state = state
    return value
