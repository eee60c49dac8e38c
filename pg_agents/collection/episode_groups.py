"""Groups of environments that begin their episodes in the same state, which GRPO and RLOO compare."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from pg_agents.checks import whole_number
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.data.state import State
from pg_agents.seeding import ENVIRONMENT_BITS, Purpose, seeds_of, spawn
from pg_agents.spaces.conversion import brief

GROUP = "group_id"  # the info's key


def own_groups(adapter: EnvAdapter) -> NDArray[np.int64] | None:
    """Return the infos' group ids, int64 [B], equal where environments share their initial state; None without ids."""
    ids = np.asarray(adapter.infos.get(GROUP))
    return ids.astype(np.int64) if ids.shape == (adapter.num_envs,) and ids.dtype.kind in "iu" else None


class Groups:
    """Seeds with which each `size` consecutive environments begin their episodes in the same state.

    The environments of a group are reset with the same seed: they share the initial state, and the noise of their
    dynamics while they take the same actions. Both are independent of the sampled actions, so that a baseline computed
    from the other episodes' returns leaves the expected gradient unchanged.

    Args:
        num_envs: B.
        size: G, which divides B.
        seed: the seed of the generator that draws the seeds; of several learners, each with as many groups, one each.
    """

    def __init__(self, num_envs: int, size: int, seed: int | Sequence[int]) -> None:
        self.ids: NDArray[np.int64] = np.arange(num_envs) // size  # [B]
        self.seeded(seed)

    def seeded(self, seed: int | Sequence[int]) -> Groups:
        """Draw the next seeds from new generators; return the groups."""
        self.generators = [np.random.default_rng(spawn(one, Purpose.GROUPS)) for one in seeds_of(seed)]
        return self

    def of_learners(self, learners: Sequence[int]) -> Groups:
        """Return the groups of some of several learners, which go on with the same generators."""
        some = copy(self)
        some.ids = self.ids[: len(self.ids) // len(self.generators) * len(learners)]
        some.generators = [self.generators[learner] for learner in learners]
        return some

    def seeds(self) -> list[int]:
        """Return the seeds of the next episodes, one per environment."""
        each = (int(self.ids[-1]) + 1) // len(self.generators)
        drawn = np.concatenate([one.integers(2**ENVIRONMENT_BITS, size=each) for one in self.generators])
        return [int(seed) for seed in drawn[self.ids]]

    def get_state(self) -> State:
        """Return the generator's state; of several learners a list of them."""
        states = [generator.bit_generator.state for generator in self.generators]
        return states if len(states) > 1 else states[0]

    def set_state(self, state: State) -> None:
        """Go on from a state of `get_state`, of as many learners."""
        for generator, one in zip(self.generators, state if isinstance(state, list) else [state], strict=True):
            generator.bit_generator.state = one


def make_groups(adapter: EnvAdapter, size: int, seed: int | Sequence[int], num_learners: int = 1) -> Groups | None:
    """Return groups of `size` consecutive environments; None if the environment makes such groups itself or size is 1.

    Raises:
        ValueError: the size does not divide the number of environments (of each learner) or differs from the
            environment's own groups, the infos' "group_id" is no group, or the environment takes only one seed or does
            not keep it.
    """
    size = whole_number("group_size", size, 1)
    if size == 1:
        return None
    if (each := adapter.num_envs // num_learners) % size:
        whose = "of each learner, " if num_learners > 1 else ""
        raise ValueError(
            f"group_size must divide the number of environments, {whose}got {size} for {each} of {adapter.name}"
        )
    own = own_groups(adapter)
    if own is None and GROUP in adapter.infos:
        raise ValueError(
            f"env: {adapter.name} has {brief(adapter.infos[GROUP])} as {GROUP!r} in its info, which must be a whole "
            "number, equal for environments that begin in the same state; rename the key in its info"
        )
    if own is not None and len(np.unique(own)) < adapter.num_envs:
        if not np.array_equal(own, np.arange(adapter.num_envs) // size):
            found = np.unique(own, return_counts=True)[1].max()
            raise ValueError(f"group_size must be {found}, the size of the groups {adapter.name} makes, got {size}")
        return None
    if not adapter.takes_seeds:
        raise ValueError(
            f"group_size={size}: {adapter.name} in its native vector form takes one seed for all environments, so that "
            'groups cannot share a state; make it with gymnasium.make_vec(…, vectorization_mode="sync")'
        )
    if adapter.mode is AutoresetMode.NEXT_STEP and not getattr(adapter.env.unwrapped, "shared_memory", True):
        raise ValueError(
            f"group_size={size}: Gymnasium's workers without shared memory reset {adapter.name} once more, without the "
            "group's seed; make it with shared_memory=True"
        )
    return Groups(adapter.num_envs, size, seed)
