"""Environments that begin their episodes in the same state: what GRPO and RLOO compare."""

from __future__ import annotations

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from pg_agents.checks import whole_number
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.seeding import ENVIRONMENT_BITS, Purpose, spawn

GROUP = "group_id"  # the info's key


def own_groups(adapter: EnvAdapter) -> NDArray[np.int64] | None:
    """Return which environments begin alike as their infos say, int64 [B]; None where those say nothing of the kind."""
    ids = np.asarray(adapter.infos.get(GROUP))
    return ids.astype(np.int64) if ids.shape == (adapter.num_envs,) and ids.dtype.kind in "iu" else None


class Groups:
    """Seeds for episodes of which `size` environments in succession begin alike.

    A group's environments are reset with one seed: they share the initial state, and the noise of their dynamics where
    they act alike. Both are independent of the actions drawn, so that a baseline made of the others' returns leaves the
    expected gradient alone.

    Args:
        num_envs: B.
        size: G, which divides B.
        seed: of the seeds.
    """

    def __init__(self, num_envs: int, size: int, seed: int) -> None:
        self.ids: NDArray[np.int64] = np.arange(num_envs) // size  # [B]
        self.generator = np.random.default_rng(spawn(seed, Purpose.GROUPS))

    def seeds(self) -> list[int]:
        """Return the next episodes' seeds, one an environment."""
        drawn = self.generator.integers(2**ENVIRONMENT_BITS, size=self.ids[-1] + 1)
        return [int(seed) for seed in drawn[self.ids]]


def make_groups(adapter: EnvAdapter, size: int, seed: int) -> Groups | None:
    """Return groups of `size` of the stream's environments; None where they need no seeds.

    Raises:
        ValueError: the size does not divide the number of environments, is not that of the groups the environment makes
            itself, its infos mean something else by "group_id", or the environment takes one seed only or does not
            begin with the seed it is given.
    """
    size = whole_number("group_size", size, 1)
    if size == 1:
        return None
    if adapter.num_envs % size:
        raise ValueError(
            f"group_size must divide the number of environments, got {size} for {adapter.num_envs} of {adapter.name}"
        )
    own = own_groups(adapter)
    if own is None and GROUP in adapter.infos:
        raise ValueError(
            f"env: {adapter.name} has {' '.join(str(adapter.infos[GROUP])[:100].split())} as {GROUP!r} in its info, "
            "which must be a whole number, equal where environments begin alike; give what it holds another key"
        )
    if own is not None and len(np.unique(own)) < adapter.num_envs:
        if not np.array_equal(own, np.arange(adapter.num_envs) // size):
            found = np.unique(own, return_counts=True)[1].max()
            raise ValueError(f"group_size must be that of the groups {adapter.name} makes itself, {found}, got {size}")
        return None
    if not adapter.takes_seeds:
        raise ValueError(
            f"group_size={size}: {adapter.name} in its native vector form takes one seed for all environments, so that "
            'groups cannot begin alike; make it with gymnasium.make_vec(…, vectorization_mode="sync")'
        )
    if adapter.mode is AutoresetMode.NEXT_STEP and not getattr(adapter.env.unwrapped, "shared_memory", True):
        raise ValueError(
            f"group_size={size}: Gymnasium's workers without shared memory reset {adapter.name} once more, without the "
            "group's seed; make it with shared_memory=True"
        )
    return Groups(adapter.num_envs, size, seed)
