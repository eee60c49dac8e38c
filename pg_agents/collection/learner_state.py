"""The state of the collector of one of several learners, which goes on without the others."""

from __future__ import annotations

from collections.abc import Sequence

from pg_agents.collection.adapter_state import ARRAYS
from pg_agents.collection.collector import Collector
from pg_agents.collection.fewer_rows import FewerRows
from pg_agents.data.state import State
from pg_agents.data.tree import tree_map
from pg_agents.spaces.env_state import obstacle
from pg_agents.spaces.rows_state import state_of_rows


def state_of_learner(collector: Collector, state: State | None, learner: int, going_on: Sequence[int]) -> State | None:
    """Return the state of a learner's collector, from that of all learners.

    Args:
        collector: of the learner alone.
        state: `get_state` of the collector of all.
        learner: the place of the learner among them.
        going_on: the places of those that had not finished.

    Returns:
        a state for `collector`; None: the running episodes cannot go on, as `why_not` says.
    """
    adapter = collector.adapter
    if state is None or not adapter.takes_seeds or learner not in going_on:
        return None
    of_all, actor, place = state["adapter"], state["actor"], [*going_on].index(learner)
    env = state_of_rows(adapter.env, _of_all_rows(of_all["env"]), _rows(learner, adapter.num_envs))
    if env is None:
        return None
    rows = _rows(place, adapter.num_envs)
    own = {name: of_all[name][rows] for name in (*ARRAYS, "valid")}
    own |= {"env": env, "observation": tree_map(lambda leaf: leaf[rows], of_all["observation"])}
    own |= {name: None if of_all[name] is None else of_all[name][rows] for name in ("group_id", "seeds")}
    memory = None if actor["memory"] is None else tree_map(lambda leaf: leaf[rows], actor["memory"])
    generator = actor["generator"][place] if actor["generator"].ndim == 2 else actor["generator"]
    acting = {"generator": generator, "memory": memory, "shown": actor["shown"][rows]}
    groups = state["groups"][learner] if isinstance(state["groups"], list) else state["groups"]
    return {"adapter": {**of_all, **own}, "actor": acting, "groups": groups}


def _rows(place: int, count: int) -> slice:
    return slice(place * count, (place + 1) * count)


def _of_all_rows(env: State) -> State:
    """Return the state of an environment with all its rows, those of learners that have finished, too."""
    return env["env"] if env["class"] == f"{FewerRows.__module__}.{FewerRows.__qualname__}" else env


def why_not(collector: Collector) -> str:
    """Return why episodes that were running when a checkpoint was written cannot go on, in a few words."""
    if not collector.adapter.takes_seeds:
        return f"{collector.adapter.name} has one generator for all rows"
    return obstacle(collector.adapter.env) or f"the state of all rows of {collector.adapter.name} cannot be told apart"
