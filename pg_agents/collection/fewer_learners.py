"""A collector goes on with the environments of some of its learners, as those of the others have finished."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pg_agents.collection.collector import Collector
from pg_agents.collection.collectors import EpisodeCollector
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.collection.faults import Promise, promises
from pg_agents.collection.fewer_rows import FewerRows, rows_of_infos
from pg_agents.collection.mask_reader import MaskReader
from pg_agents.collection.waiting import Waiting, can_hold, hold
from pg_agents.data.tree import tree_map
from pg_agents.generators import Generators
from pg_agents.policies.policy import Policy


def can_keep(collector: Collector) -> bool:
    """Return whether a collector can go on with some of its learners: rows must be held where actions are masked."""
    adapter = collector.adapter
    return can_hold(adapter) or not (adapter.masks.beside or adapter.masks.inside)


def keep_learners(collector: Collector, policy: Policy, learners: Sequence[int]) -> None:
    """Let a collector go on with the environments of some of its learners, as each would alone.

    Args:
        collector: of several learners, between two rollouts.
        policy: of the learners that go on.
        learners: their places among those of the collector.
    """
    adapter, count = collector.adapter, collector.policy.num_learners
    rows = np.arange(adapter.num_envs).reshape(count, -1)[list(learners)].flatten()
    if can_hold(adapter):
        hold(adapter, ~np.isin(np.arange(adapter.num_envs), rows))
    _keep_rows(adapter, rows)
    actor = collector.actor
    collector.policy = actor.policy = policy
    if isinstance(actor.generator, Generators):
        actor.generator = actor.generator.part(learners)
    actor.memory = tree_map(lambda leaf: leaf[rows], actor.memory) if policy.recurrent else None
    actor.shown = actor.shown[rows]
    if isinstance(collector.seed, Sequence):
        collector.seed = [collector.seed[learner] for learner in learners]
    collector.groups = None if collector.groups is None else collector.groups.of_learners(learners)
    if isinstance(collector, EpisodeCollector) and collector.waiting is not None:
        collector.waiting = Waiting(adapter, len(learners)) if len(learners) > 1 else None


def _keep_rows(adapter: EnvAdapter, rows: NDArray[np.int64]) -> None:
    before, masks, env = adapter.num_envs, adapter.masks, adapter.env
    adapter.env = FewerRows(env.env, env.rows[rows]) if isinstance(env, FewerRows) else FewerRows(env, rows)
    adapter.num_envs = len(rows)
    adapter.none, everything = np.zeros(len(rows), bool), np.ones(len(rows), bool)
    adapter.valid = everything if adapter.valid[rows].all() else adapter.valid[rows]
    adapter.all = everything
    adapter.promised, adapter.rewards = promises(adapter.env), [Promise("a reward", (), (len(rows),))]
    adapter.flags = [Promise("a flag", (), (len(rows),))]
    adapter.masks = MaskReader(env.single_observation_space, env.single_action_space, len(rows))
    adapter.masks.beside = masks.beside
    adapter.observation = tree_map(lambda leaf: leaf[rows], adapter.observation)
    adapter.infos = rows_of_infos(adapter.infos, rows, before)
    adapter.seeds = [adapter.seeds[row] for row in rows] if isinstance(adapter.seeds, list) else adapter.seeds
    for name in ("episode_starts", "times", "returns"):
        setattr(adapter, name, getattr(adapter, name)[rows])


def let_go(collector: Collector) -> None:
    """Hold no row of the environment any more, at the end of a run in which some learners had left before others."""
    adapter = collector.adapter
    if isinstance(adapter.env, FewerRows):
        adapter.env = adapter.env.env
        if can_hold(adapter):
            hold(adapter, np.zeros(adapter.env.num_envs, bool))
