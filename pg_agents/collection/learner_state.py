"""The state of the collector of one of several learners, which goes on without the others."""

from __future__ import annotations

from pg_agents.collection.adapter_state import ARRAYS
from pg_agents.collection.collector import Collector
from pg_agents.data.state import State
from pg_agents.data.tree import tree_map
from pg_agents.spaces.env_state import obstacle
from pg_agents.spaces.rows_state import state_of_rows


def state_of_learner(collector: Collector, state: State | None, learner: int) -> State | None:
    """Return the state of a learner's collector, from that of all learners.

    Args:
        collector: of the learner alone.
        state: `get_state` of the collector of all.
        learner: the place of the learner among them.

    Returns:
        a state for `collector`; None: the running episodes cannot go on, as `why_not` says.
    """
    adapter = collector.adapter
    if state is None or not adapter.takes_seeds:
        return None
    of_all, actor = state["adapter"], state["actor"]
    rows = slice(learner * adapter.num_envs, (learner + 1) * adapter.num_envs)
    env = state_of_rows(adapter.env, of_all["env"], rows)
    if env is None:
        return None
    own = {name: of_all[name][rows] for name in (*ARRAYS, "valid")}
    own |= {"env": env, "observation": tree_map(lambda leaf: leaf[rows], of_all["observation"])}
    own |= {name: None if of_all[name] is None else of_all[name][rows] for name in ("group_id", "seeds")}
    memory = None if actor["memory"] is None else tree_map(lambda leaf: leaf[rows], actor["memory"])
    acting = {"generator": actor["generator"][learner], "memory": memory, "shown": actor["shown"][rows]}
    groups = state["groups"][learner] if isinstance(state["groups"], list) else state["groups"]
    return {"adapter": {**of_all, **own}, "actor": acting, "groups": groups}


def why_not(collector: Collector) -> str:
    """Return why episodes that were running when a checkpoint was written cannot go on, in a few words."""
    if not collector.adapter.takes_seeds:
        return f"{collector.adapter.name} has one generator for all rows"
    return obstacle(collector.adapter.env) or f"the state of all rows of {collector.adapter.name} cannot be told apart"
