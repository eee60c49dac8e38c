"""The state of an `EnvAdapter`: its environment's, and that of the episodes that are running."""

from __future__ import annotations

import numpy as np

from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.collection.episode_groups import GROUP, own_groups
from pg_agents.data.state import State
from pg_agents.data.tree import tree_map
from pg_agents.spaces.env_state import restore, state_of
from pg_agents.spaces.time_limit import OutOfTime

ARRAYS = ("episode_starts", "times", "returns")
VALUES = ("steps", "seeds", "may_overwrite")


def adapter_state(adapter: EnvAdapter) -> State | None:
    """Return the state; None if the environment has none (`env_state.obstacle` says why).

    Raises:
        FaultyEnvironmentError: the environment's `get_state` fails.
    """
    try:
        env = adapter.limit.call(state_of, adapter.env)
    except (Exception, SystemExit, OutOfTime) as error:
        adapter.failed(error, f"at get_state, after step {adapter.steps}", "no arguments")
    if env is None:
        return None
    return {
        "env": env,
        "observation": tree_map(np.array, adapter.observation),
        "group_id": own_groups(adapter),
        "masks_beside": adapter.masks.beside,
        "valid": adapter.valid.copy(),
        **{name: getattr(adapter, name).copy() for name in ARRAYS},
        **{name: getattr(adapter, name) for name in VALUES},
    }


def set_adapter_state(adapter: EnvAdapter, state: State) -> None:
    """Let an adapter of an environment that was made in the same way go on from a state of `adapter_state`.

    Raises:
        ValueError: the state is that of another environment.
        FaultyEnvironmentError: the environment's `set_state` fails.
    """
    if len(state["valid"]) != adapter.num_envs:
        raise ValueError(f"state: it has {len(state['valid'])} environments, and there are {adapter.num_envs}")
    try:
        adapter.limit.call(restore, adapter.env, state["env"])
    except ValueError:
        raise
    except (Exception, SystemExit, OutOfTime) as error:
        adapter.failed(error, "at set_state", "a state of get_state")
    adapter.observation = tree_map(np.array, state["observation"])
    adapter.infos = {} if state["group_id"] is None else {GROUP: state["group_id"]}
    adapter.masks.beside = state["masks_beside"]
    adapter.valid = adapter.all if state["valid"].all() else state["valid"].copy()
    for name in ARRAYS:
        setattr(adapter, name, state[name].copy())
    for name in VALUES:
        setattr(adapter, name, state[name])
