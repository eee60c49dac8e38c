"""The state of some rows of a vector environment, from which one that has no others goes on.

A vector environment, or a wrapper of one, whose rows are independent has a third method beside `get_state` and
`set_state` (see `env_state`): `state_of_rows(state, rows)` returns, from a state of an environment that has more rows,
that of `rows`, a slice with as many as it has itself. Of Gymnasium's, `SyncVectorEnv` and `AsyncVectorEnv` are known.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv, VectorWrapper

from pg_agents.data.state import State
from pg_agents.spaces.env_state import class_of


def state_of_rows(env: VectorEnv, state: State, rows: slice) -> State | None:
    """Return the state of `rows` of the environment that `state` is of, for `env`, which has as many rows.

    None: it is an environment of another kind, or its rows cannot be told apart.
    """
    if not isinstance(state, dict) or state.get("class") != class_of(env):
        return None
    if isinstance(env, AsyncVectorEnv):
        return {**state, "rows": state["rows"][rows]}
    if type(env) is SyncVectorEnv:
        return {name: _of_rows(part, rows) for name, part in state.items()} | {"num_envs": env.num_envs}
    if not hasattr(type(env), "state_of_rows"):
        return None
    own: Any = env
    taken = {"class": state["class"], "own": own.state_of_rows(state["own"], rows)}
    if not isinstance(env, VectorWrapper):
        return taken
    inner = state_of_rows(env.env, state["env"], rows)
    return None if inner is None else {**taken, "env": inner}


def _of_rows(part: State, rows: slice) -> State:
    """Return the part of an attribute that belongs to rows: lists and arrays have an entry for each."""
    if isinstance(part, list | np.ndarray):
        return part[rows]
    if isinstance(part, tuple):
        return tuple(_of_rows(item, rows) for item in part)
    if isinstance(part, dict):
        return {name: _of_rows(item, rows) for name, item in part.items()}
    return part
