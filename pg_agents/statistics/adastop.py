"""A test that looks at runs in groups, and says when no more seeds are needed to tell agents apart."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, combinations, product

import numpy as np
from numpy.typing import NDArray

from pg_agents.checks import whole_number
from pg_agents.statistics.values import Values, checked, checked_level, numbers

Array = NDArray[np.floating]
Pair = tuple[str, str]
LARGER, SMALLER, NO_DIFFERENCE, UNDECIDED = "larger", "smaller", "no difference", "undecided"
DIGITS = 9  # of a statistic, beside the range of a pair's values: what is equal but for rounding stays equal


@dataclass(frozen=True)
class Comparison:
    """What is known of two agents.

    Attributes:
        verdict: "larger" or "smaller" (the first agent's mean return is), "no difference" (none was found in all
            groups), "undecided" (more runs are needed, `wanted` says whose).
        difference: of the mean returns, the first's minus the second's, of the runs that were looked at; NaN: of none.
        runs: how many of each were looked at.
    """

    verdict: str
    difference: float
    runs: int


@dataclass(frozen=True)
class AdaStop:
    """A group-sequential permutation test of several agents, AdaStop (Mathieu et al., 2023, arXiv:2306.10882).

    Runs come in groups of `size` seeds, and after each group one looks. The statistic of a pair of agents is

        T_k = |Σ_{g ≤ k} (mean of the first agent's group g − mean of the second's)|

    and what it would be if they returned the same is known from dealing out the values of each group anew among the
    two. The pair with the largest T_k is decided if this is more than b_k, the least number with

        P(max T_1 > b_1 or … or max T_k > b_k) ≤ level · k / groups

    where each maximum is over the pairs that are not decided; then those that are left are looked at again, with
    their own b_k (step-down). So agents that return the same are found to differ with a probability of no more than
    `level`, in spite of the looks and of the pairs, while an obvious difference needs no more than one or two groups.

    Measured with two groups of five runs (`python -m benchmarks run intervals`): equal agents are found to differ in
    3.5 to 5.2 % of 1,000 cases, of five distributions; a difference of 1.5 standard deviations is found in 84 to 91 %,
    except with t₂, which has none: of 1.5 times its scale, in 45 %.

    Args:
        size: runs of each agent in a group.
        groups: how many there are at most; an agent has at most size · groups runs.
        level: the probability of finding a difference where there is none.
        permutations: how many are drawn, with the one that was observed; all of them, if they are no more.

    Raises:
        ValueError: a number out of its range, or too few runs or permutations to find anything at this level.
    """

    size: int = 5
    groups: int = 4
    level: float = 0.05
    permutations: int = 10_000

    def __post_init__(self) -> None:
        checked_level(self.level)
        for name, least in (("size", 2), ("groups", 1), ("permutations", 100)):
            whole_number(name, getattr(self, name), least)
        if math.comb(2 * self.size, self.size) ** self.groups < 2 / self.level:
            raise ValueError(f"size: {self.size * self.groups} runs are too few to find anything at level {self.level}")
        if self.permutations < 1 / self.level:
            few = f"permutations: {self.permutations} are too few to find anything at level {self.level}"
            raise ValueError(f"{few}; draw at least {math.ceil(1 / self.level)}")

    def decide(self, runs: Mapping[str, Values], pairs: Iterable[Pair] | None = None) -> dict[Pair, Comparison]:
        """Return what is known of each pair of agents.

        The same runs have the same answer, so that one asks again with more of them. An agent all of whose pairs are
        decided needs no more (`wanted` names the others). All undecided pairs are looked at together: those of an agent
        with fewer groups of runs hold up all the others, and runs beyond whole groups are not looked at.

        Args:
            runs: of each agent, by its name, the returns of its seeds, in the order of the seeds.
            pairs: of names, that are to be compared; None: all.

        Raises:
            ValueError: no pair, one of an agent that has no entry in `runs`, a value that is not finite.
        """
        values = {name: _checked(name, returns) for name, returns in runs.items()}
        left = list(combinations(values, 2) if pairs is None else pairs)
        if not left:
            what = f"runs must be of at least 2 agents, got {len(values)}"
            raise ValueError(what if pairs is None else "pairs must be at least one, got none; leave it out for all")
        if absent := [name for pair in left for name in pair if name not in values]:
            raise ValueError(f"pairs: {absent[0]!r} has no runs, only {', '.join(values)} have")
        differences = self._differences(values, left)
        found = {pair: Comparison(UNDECIDED, math.nan, 0) for pair in left}
        for look in range(1, self.groups + 1):
            if not left or any(len(differences[pair]) < look for pair in left):
                break
            rejected = self._rejected({pair: differences[pair][:look] for pair in left})
            for pair in left:
                difference = float(differences[pair][look - 1][0]) / look
                verdict = (LARGER if difference > 0 else SMALLER) if pair in rejected else UNDECIDED
                if verdict == UNDECIDED and look == self.groups:
                    verdict = NO_DIFFERENCE
                found[pair] = Comparison(verdict, difference, look * self.size)
            left = [pair for pair in left if pair not in rejected]
        return found

    def _differences(self, values: Mapping[str, Array], pairs: Sequence[Pair]) -> dict[Pair, list[Array]]:
        """Return of each pair, after each group that both have, Σ_{g ≤ k} (…) of all permutations, [permutations]."""
        dealt = _dealt(self.size, self.groups, self.permutations)
        found = {}
        for first, second in pairs:
            whole = min(self.groups, min(len(values[first]), len(values[second])) // self.size)
            of_each = (values[name][: whole * self.size].reshape(whole, self.size) for name in (first, second))
            pools = np.concatenate(list(of_each), axis=1)
            parts = (signs @ (pool - pool.mean()) / self.size for signs, pool in zip(dealt, pools, strict=False))
            sums = enumerate(accumulate(parts), 1)  # rounded last: sums of rounded numbers depend on their order
            found[first, second] = [np.round(these, _digits(pools[:look])) for look, these in sums]
        return found

    def _rejected(self, differences: Mapping[Pair, Sequence[Array]]) -> set[Pair]:
        """Return the pairs that are decided after as many groups as there are: step by step, the largest first."""
        left, looks = dict(differences), range(len(next(iter(differences.values()))))
        while left:
            maxima = [np.max([np.abs(sums[look]) for sums in left.values()], axis=0) for look in looks]
            largest = max(left, key=lambda pair: abs(left[pair][-1][0]))
            if abs(left[largest][-1][0]) <= self._boundary(maxima):
                break
            del left[largest]
        return set(differences) - set(left)

    def _boundary(self, maxima: Sequence[Array]) -> float:
        """Return b_k, from the maxima of all permutations after each group, k of [permutations]."""
        alive, spent, boundary = np.ones(len(maxima[0]), dtype=bool), 0, math.inf
        for look, found in enumerate(maxima, 1):
            may_be = math.floor(self.level * look / self.groups * len(found) + 1e-9) - spent
            falling = np.sort(found[alive])[::-1]
            boundary = falling[may_be] if may_be < len(falling) else -math.inf
            beyond = alive & (found > boundary)
            spent, alive = spent + int(beyond.sum()), alive & ~beyond
        return float(boundary)


def wanted(found: Mapping[Pair, Comparison], runs: Mapping[str, Values] | None = None) -> list[str]:
    """Return the agents that need another group of runs, those of undecided pairs, in the order of the pairs.

    Args:
        found: what `decide` returned.
        runs: what it was given: of the agents only those with the fewest runs are named, as they hold up the others;
            None: all, as they have equally many.
    """
    names = list(dict.fromkeys(name for pair, one in found.items() if one.verdict == UNDECIDED for name in pair))
    fewest = min((len(runs[name]) for name in names), default=0) if runs is not None else 0
    return [name for name in names if runs is None or len(runs[name]) == fewest]


def compare_until(
    sample: Callable[[str, range], Sequence[float]],
    agents: Sequence[str],
    test: AdaStop | None = None,
    pairs: Iterable[Pair] | None = None,
) -> tuple[dict[Pair, Comparison], dict[str, list[float]]]:
    """Run agents with more and more seeds until each pair is decided, and return what is known, and the runs' returns.

    Args:
        sample: returns what an agent, by its name, returned with each of these seeds.
        agents: names.
        test: group size, number of groups and level; None: those of `AdaStop()`.
        pairs: of names, that are to be compared; None: all.

    Raises:
        ValueError: fewer than two agents, a value that is not finite, not one value for each seed.
    """
    test, asked = test or AdaStop(), None if pairs is None else list(pairs)
    runs: dict[str, list[float]] = {agent: [] for agent in agents}
    found = test.decide(runs, asked)
    while names := wanted(found):
        for name in names:
            seeds = range(len(runs[name]), len(runs[name]) + test.size)
            returns = sample(name, seeds)
            if len(returns) != len(seeds):
                raise ValueError(f"sample must return {len(seeds)} values for {name!r}, got {len(returns)}")
            runs[name] += map(float, returns)
        found = test.decide(runs, asked)
    return found, runs


def _digits(values: Array) -> int:
    """Return the decimal places up to which statistics of these values are more than rounding."""
    spread = np.ptp(values)
    return DIGITS - math.floor(math.log10(spread)) if spread > 0 else DIGITS


def _checked(name: str, returns: Values) -> Array:
    array = numbers(returns, f"runs[{name!r}]")
    return array if array.shape == (0,) else checked(array, f"runs[{name!r}]")


@lru_cache(maxsize=8)
def _dealt(size: int, groups: int, permutations: int) -> tuple[Array, ...]:
    """Return of each group 1 where a value is dealt to the first agent, else −1, [permutations, 2 · size].

    The first row is what was observed.
    """
    ways = math.comb(2 * size, size)
    if ways**groups > permutations:
        generator, observed = np.random.default_rng(0), np.repeat([1.0, -1.0], size)
        rows = [generator.permuted(np.tile(observed, (permutations - 1, 1)), axis=1) for _ in range(groups)]
        return tuple(np.vstack([observed, drawn]) for drawn in rows)
    signs = np.full((ways, 2 * size), -1.0)
    for row, chosen in enumerate(combinations(range(2 * size), size)):
        signs[row, list(chosen)] = 1.0
    order = np.array(list(product(range(ways), repeat=groups)))
    return tuple(signs[column] for column in order.T)
