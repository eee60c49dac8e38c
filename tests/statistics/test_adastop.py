"""AdaStop by enumeration of permutations, by simulation, and by what it asks for."""

from itertools import combinations

import numpy as np
import pytest
from support.bugs import Bug, seeded

from pg_agents.statistics import AdaStop, Comparison, compare_until, wanted
from pg_agents.statistics.adastop import _dealt


def decided(test, *returns):
    """Return the comparison of the first two of agents with these returns."""
    return test.decide(dict(zip("abcdef", returns, strict=False)))["a", "b"]


def differs(test, *returns):
    return decided(test, *returns).verdict in ("larger", "smaller")


@pytest.mark.parametrize("shift", [0.0, 1.0, 1.5, 2.0, 3.0])
def test_one_group_is_the_permutation_test_of_all_that_could_have_been(shift):
    for seed in range(10):
        x, y = np.random.default_rng(seed).standard_normal((2, 5)) + [[shift], [0]]
        both = np.concatenate([x, y])
        means = [both[list(chosen)].mean() for chosen in combinations(range(10), 5)]
        differences = np.abs(2 * (np.array(means) - both.mean()))
        p = (differences >= abs(x.mean() - y.mean()) - 1e-9).mean()
        assert differs(AdaStop(size=5, groups=1), x, y) == (p <= 0.05)


def test_the_level_is_spent_over_two_groups():
    """Of 400 equally probable outcomes (20 of each group) 10 may be found at the first look, 20 at both together."""
    size, level = 3, 0.05
    test = AdaStop(size=size, groups=2, level=level)
    values = np.random.default_rng(0).standard_normal((2, 2 * size))
    signs = _dealt(3, 2, 10_000)
    pooled = [np.concatenate([values[0, half], values[1, half]]) for half in (slice(0, 3), slice(3, 6))]
    found = []
    for first, second in zip(*signs, strict=True):
        parts = [(pool[sign > 0], pool[sign < 0]) for pool, sign in zip(pooled, (first, second), strict=True)]
        found.append(decided(test, *(np.concatenate([part[side] for part in parts]) for side in (0, 1))))
    assert len(found) == 400
    early = [one.runs == 3 and one.verdict != "no difference" for one in found]
    late = [one.runs == 6 and one.verdict != "no difference" for one in found]
    assert sum(early) == 0  # the two rarest of 20 outcomes are 40 of 400, more than 10
    assert 16 <= sum(late) <= 20


def test_what_was_spent_at_the_first_look_is_neither_spent_nor_counted_again():
    """Of 10 outcomes one may be beyond at the first look, two at both: the first is, then one of the other nine."""
    test = AdaStop(size=3, groups=2, level=0.2)
    first, second = np.array([[9.0, 1, 2, 3, 4, 5, 6, 7, 8, 0], [9, 1, 2, 3, 4, 5, 6, 7.5, 8.5, 0]])
    assert test._boundary([first]) == 8
    assert test._boundary([first, second]) == 7.5


def test_an_obvious_difference_needs_one_group_and_a_small_one_more():
    generator = np.random.default_rng(0)
    test = AdaStop(size=5, groups=4)
    x, y = generator.standard_normal((2, 20))
    assert decided(test, x + 50, y) == Comparison("larger", pytest.approx((x[:5] + 50 - y[:5]).mean()), 5)
    assert decided(test, x - 50, y).verdict == "smaller"
    small = decided(test, x + 1, y)
    assert small.runs > 5 and small.verdict == "larger"
    assert small.difference == pytest.approx((x + 1 - y)[: small.runs].mean())


def test_what_is_decided_stays_decided_and_runs_beyond_are_not_looked_at():
    generator = np.random.default_rng(0)
    x, y = generator.standard_normal((2, 20)) + [[1.2], [0]]
    test, before = AdaStop(size=5, groups=4), None
    for count in range(21):
        now = decided(test, x[:count], y[:count])
        assert now.runs <= count and now.runs % 5 == 0
        if before is not None and before.verdict != "undecided":
            assert now == before
        before = now
    assert before.verdict == "larger"


def test_agents_that_are_equal_are_told_apart_as_rarely_as_it_says():
    generator, test = np.random.default_rng(0), AdaStop(size=5, groups=2)
    found = [differs(test, *generator.standard_normal((2, 10))) for _ in range(1_000)]
    assert 0.02 <= np.mean(found) <= 0.07


def test_a_difference_of_one_and_a_half_deviations_is_found():
    generator, test = np.random.default_rng(0), AdaStop(size=5, groups=2)
    found = [decided(test, *(generator.standard_normal((2, 10)) + [[1.5], [0]])) for _ in range(300)]
    assert np.mean([one.verdict == "larger" for one in found]) >= 0.8
    assert np.mean([one.runs for one in found]) < 9.5


def test_of_four_equal_agents_no_two_are_told_apart():
    generator, test = np.random.default_rng(1), AdaStop(size=5, groups=2)
    agents = (test.decide(dict(zip("abcd", generator.standard_normal((4, 10)), strict=True))) for _ in range(300))
    found = [any(one.verdict in ("larger", "smaller") for one in pairs.values()) for pairs in agents]
    assert np.mean(found) <= 0.1  # 5 %, and more than three standard errors


def test_of_three_agents_the_two_that_are_left_are_looked_at_with_their_own_boundary():
    generator, test = np.random.default_rng(2), AdaStop(size=5, groups=2)
    runs = {"a": generator.standard_normal(10), "b": generator.standard_normal(10) + 2.2}
    alone = test.decide(runs)
    assert alone["a", "b"].verdict == "smaller"
    found = test.decide(runs | {"c": generator.standard_normal(10) + 1_000})
    assert [one.verdict for one in found.values()] == ["smaller", "smaller", "smaller"]


def test_units_do_not_matter():
    generator, test = np.random.default_rng(3), AdaStop(size=4, groups=3)
    for _ in range(20):
        x, y = generator.standard_normal((2, 12)) + [[1], [0]]
        one, other = decided(test, x, y), decided(test, 1e7 + 1e-3 * x, 1e7 + 1e-3 * y)
        assert (one.verdict, one.runs) == (other.verdict, other.runs)


def test_a_large_return_of_a_third_agent_hides_no_difference_of_the_others():
    generator, test = np.random.default_rng(4), AdaStop(size=5, groups=2)
    runs = dict(zip("abc", generator.standard_normal((3, 10)) + [[0], [3], [-1e12]], strict=True))
    assert [one.verdict for one in test.decide(runs).values()] == ["smaller", "larger", "larger"]


@pytest.mark.parametrize("unit", [0.1, 1e11 / 3, 1e-12])
def test_statistics_that_are_equal_but_for_rounding_are_equal(unit):
    generator, test = np.random.default_rng(5), AdaStop(size=4, groups=2)
    for _ in range(50):
        x, y = generator.integers(0, 6, size=(2, 8)) + [[2], [0]]
        assert decided(test, unit * x, unit * y).verdict == decided(test, x, y).verdict


@pytest.mark.parametrize("value", [1.0, 1e9 + 0.1])
def test_equal_returns_are_no_difference(value):
    assert decided(AdaStop(size=7, groups=2), [value] * 14, [value] * 14) == Comparison("no difference", 0.0, 14)


def test_agents_are_run_until_they_are_told_apart():
    asked, generator = [], np.random.default_rng(0)

    def sample(agent, seeds):
        asked.append((agent, list(seeds)))
        return generator.standard_normal(len(seeds)) + {"bad": -100, "one": 0, "same": 0}[agent]

    found, runs = compare_until(sample, ["bad", "one", "same"], AdaStop(size=3, groups=3))
    assert {name: len(values) for name, values in runs.items()} == {"bad": 6, "one": 9, "same": 9}
    assert found["one", "same"].verdict == "no difference" and found["bad", "one"].verdict == "smaller"
    assert [seeds for agent, seeds in asked if agent == "same"] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert wanted(found) == []


def test_the_agents_with_the_fewest_runs_hold_up_all_pairs_and_are_those_that_are_wanted():
    test, runs = AdaStop(size=5), {"a": range(20), "b": range(100, 120), "c": [0.0] * 3}
    found = test.decide(runs)
    assert {one.verdict for one in found.values()} == {"undecided"} and wanted(found) == ["a", "b", "c"]
    assert wanted(found, runs) == ["c"]
    runs["c"] = range(300, 305)
    assert {pair: one.verdict for pair, one in test.decide(runs).items()} == {
        ("a", "b"): "smaller", ("a", "c"): "smaller", ("b", "c"): "smaller",
    }  # fmt: skip
    assert wanted(test.decide(runs), runs) == []


def test_there_may_be_any_number_of_groups():
    assert decided(AdaStop(size=10, groups=60), [1.0] * 10, range(2, 12)).verdict == "smaller"


def test_only_the_pairs_that_are_asked_for_are_run():
    found, runs = compare_until(
        lambda agent, seeds: [1e6 * (agent == "a") + seed for seed in seeds],
        "abc",
        AdaStop(size=5),
        [("a", "b")],
    )
    assert list(found) == [("a", "b")] and runs["c"] == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: AdaStop(size=1), "size must be a whole number, 2 or above, got 1"),
        (lambda: AdaStop(groups=0), "groups must be a whole number, 1 or above, got 0"),
        (lambda: AdaStop(permutations=9), "permutations must be a whole number, 100 or above, got 9"),
        (lambda: AdaStop(size=2.5), "size must be a whole number, 2 or above, got 2.5"),
        (
            lambda: AdaStop().decide({"a": {1.0: 2}.values(), "b": [2]}),
            r"runs\['a'\] must be numbers in a list .*give list",
        ),
        (lambda: AdaStop(level=5), "level must be between 0 and 1, got 5"),
        (lambda: AdaStop(size=3, groups=1), "size: 3 runs are too few to find anything at level 0.05"),
        (lambda: AdaStop(level=5e-5), "permutations: 10000 are too few to find anything at level 5e-05; draw at least"),
        (lambda: AdaStop().decide({"a": [1], "b": [2]}, []), "pairs must be at least one, got none"),
        (lambda: AdaStop().decide({"a": [1]}), "runs must be of at least 2 agents, got 1"),
        (lambda: AdaStop().decide({"a": [1], "b": [2]}, [("a", "x")]), "pairs: 'x' has no runs, only a, b have"),
        (lambda: AdaStop().decide({"a": [1], "b": [np.nan]}), r"runs\['b'\] must be finite, got nan"),
        (lambda: compare_until(lambda agent, seeds: [1.0], "ab"), "sample must return 5 values for 'a', got 1"),
    ],
)
def test_what_cannot_be_compared(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def _each_look_has_the_whole_level(self, maxima):
    return np.quantile(maxima[-1], 1 - self.level)


def _two_values_of_any_group(size, groups, permutations):
    signs = np.repeat([1.0, -1.0], size)
    drawn = np.random.default_rng(0).permuted(np.tile(signs, (399, 1)), axis=1)
    return tuple(np.vstack([signs, drawn]) for _ in range(groups))  # the same in each group


test_seeded_bugs = seeded(
    Bug(
        "the level is spent at each look",
        AdaStop._boundary,
        _each_look_has_the_whole_level,
        [test_agents_that_are_equal_are_told_apart_as_rarely_as_it_says],
    ),
    Bug(
        "all pairs have the boundary of one",
        AdaStop._rejected,
        lambda self, differences: {
            pair for pair, sums in differences.items() if abs(sums[-1][0]) > self._boundary([np.abs(x) for x in sums])
        },
        [test_of_four_equal_agents_no_two_are_told_apart],
    ),
    Bug(
        "all groups are dealt out in the same way",
        _dealt,
        _two_values_of_any_group,
        [test_the_level_is_spent_over_two_groups],
    ),
)
