"""One seed, many generators: a seed of its own for each purpose, so that no two of them share a stream."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

ENVIRONMENT_BITS = 31  # of the seeds that environments are given: some keep them in a signed 32-bit integer


class Purpose(IntEnum):
    """What random numbers are drawn for; the values stay, as they decide what a seed gives."""

    PARAMETERS = 0
    MINIBATCHES = 1
    ENVIRONMENTS = 2
    ACTIONS = 3
    GROUPS = 4  # the seeds of episodes that begin alike
    EVALUATION = 5
    SELECTION = 6  # the evaluations on the way, by which a run's best agent is chosen
    SIMULATION = 7
    PREFERENCES = 8
    PROBLEM = 9  # arms and prompts of a finite problem
    REFERENCE = 10
    PATHS = 11
    EARLIER = 12  # paths from before those that are measured


def spawn(seed: int, purpose: Purpose) -> int:
    """Return the seed that `seed` has for one purpose, of 63 bits.

    A generator that begins with it has nothing in common with that of another purpose or another seed; purposes can be
    nested. It depends on `seed` and the purpose alone, not on what else was drawn.

    Reference: numpy's SeedSequence (O'Neill's seed_seq), with the purpose as spawn key.
    """
    return int(np.random.SeedSequence(seed, spawn_key=(purpose,)).generate_state(1, np.uint64)[0] >> np.uint64(1))


def environment_seeds(seed: int, count: int) -> list[int]:
    """Return different seeds for `count` environments, ints in [0, 2³¹); those of fewer are the first of them."""
    words = np.random.SeedSequence(seed, spawn_key=(Purpose.ENVIRONMENTS,)).generate_state(2 * count)
    return list(dict.fromkeys((words >> np.uint32(32 - ENVIRONMENT_BITS)).tolist()))[:count]
