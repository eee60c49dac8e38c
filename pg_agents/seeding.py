"""Derives a different seed for each purpose from one seed, so that no two generators draw the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

ENVIRONMENT_BITS = 31  # of the seeds that environments are given: some keep them in a signed 32-bit integer


class Purpose(IntEnum):
    """The purposes of random numbers; their values never change, as the derived seeds depend on them."""

    PARAMETERS = 0
    MINIBATCHES = 1
    ENVIRONMENTS = 2
    ACTIONS = 3
    GROUPS = 4  # the seeds of episodes that begin in the same state
    EVALUATION = 5
    SELECTION = 6  # evaluations during training, by which a run's best agent is chosen
    SIMULATION = 7
    PREFERENCES = 8
    PROBLEM = 9  # arms and prompts of a finite problem
    REFERENCE = 10
    PATHS = 11
    EARLIER = 12  # paths sampled before the measured ones
    RESTART = 13  # environments and actions after a run was resumed whose environments have no state
    RANKS = 14  # environments and actions of each of several processes


def spawn(seed: int, purpose: Purpose) -> int:
    """Return the seed derived from `seed` for one purpose, of 63 bits.

    Generators of different purposes or seeds are independent; purposes can be nested. The result depends only on `seed`
    and the purpose, not on other draws.

    Reference: numpy's SeedSequence (O'Neill's seed_seq), with the purpose as spawn key.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(purpose,)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def seeds_of(seed: int | Sequence[int]) -> Sequence[int]:
    """Return the seeds of all learners: one, or those that are given."""
    return seed if isinstance(seed, Sequence) else [seed]


def environment_seeds(seed: int, count: int) -> list[int]:
    """Return distinct seeds for `count` environments, ints in [0, 2³¹); a smaller count returns the first of them."""
    words = np.random.SeedSequence(seed, spawn_key=(Purpose.ENVIRONMENTS,)).generate_state(2 * count)
    return list(dict.fromkeys((words >> np.uint32(32 - ENVIRONMENT_BITS)).tolist()))[:count]
