"""Seeds and networks of several independent learners."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from pg_agents.checks import is_count, whole_number
from pg_agents.policies import Policy
from pg_agents.policies.stacking import Stack
from pg_agents.seeding import Purpose, spawn
from pg_agents.shown import shortened


def seeds_of_learners(seed: int, options: dict[str, Any], network: Any) -> tuple[Sequence[int], dict[str, Any]]:  # noqa: ANN401
    """Return the seed of each learner, and the options, `seeds` as a list.

    Raises:
        ValueError: a seed that is no whole number, or not as many as learners.
    """
    seed, seeds = whole_number("seed", seed), options.get("seeds")
    if seeds is None:
        count = options.get("num_learners", getattr(network, "num_learners", 1))
        return range(seed, seed + (count if is_count(count) else 1)), options  # anything else is refused as an option
    if not isinstance(seeds, Iterable) or isinstance(seeds, str):
        raise ValueError(f"seeds must be a list of whole numbers, one for each learner, got {shortened(repr(seeds))}")
    seeds = [whole_number("seeds", one) for one in seeds]
    if len(set(seeds)) < len(seeds) or not seeds:
        raise ValueError(f"seeds must be different ones, one for each learner, got {shortened(str(seeds))}")
    if (count := options.get("num_learners", len(seeds))) != len(seeds):
        raise ValueError(f"seeds: {len(seeds)} are given for num_learners={count}; give one for each learner")
    return seeds, options | {"seeds": seeds, "num_learners": count}


def networks_of_learners(
    build: Callable[[], tuple[Policy, Any]], seeds: Sequence[int], num_learners: int
) -> tuple[Policy, Any]:
    """Return the networks that `build` makes with each seed, as those of one policy and one critic."""
    networks = []
    for seed in seeds:
        torch.random.default_generator.manual_seed(spawn(seed, Purpose.PARAMETERS))
        networks.append(build())
        if networks[0][0].num_learners == num_learners:  # tables, which begin with the same numbers
            return networks[0]
    stack = Stack()
    policies, critics = zip(*networks, strict=True)
    return stack(policies), None if critics[0] is None else stack(critics)
