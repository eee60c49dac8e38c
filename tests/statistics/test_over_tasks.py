"""Statistics of several tasks by hand and by those of one task; their intervals by simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bugs import Bug, seeded

from pg_agents.statistics import aggregate, interquartile_mean, interval, stratified_interval
from pg_agents.statistics.bootstrap import between_tails
from pg_agents.statistics.over_tasks import STATISTICS, _interquartile_means, _lacking, checked_groups

TWO = [[0.0, 1.0, 5.0], [2.0, 10.0]]  # each value of the first has a mass of 1/6, each of the second one of 1/4


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("mean", (2 + 6) / 2),
        ("median", 4),
        ("optimality_gap", (1 / 3 + 0) / 2),
        # in order 0, 1, 2, 5, 10 with masses 2, 2, 3, 2, 3 of 12; from 3 to 9 are 1 of the 1, all of the 2, 2 of the 5
        ("interquartile_mean", (1 * 1 + 3 * 2 + 2 * 5) / 6),
    ],
)
def test_by_hand(statistic, expected):
    assert aggregate(TWO, statistic) == pytest.approx(expected)


def test_the_median_is_of_the_tasks_means():
    assert aggregate([[0, 2], [4, 6], [1, 99]], "median") == 5


@settings(max_examples=30)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=12))
def test_one_task_is_as_without_tasks(values):
    assert aggregate([values]) == pytest.approx(interquartile_mean(values), abs=1e-9)
    assert stratified_interval([values]) == pytest.approx(interval(values), abs=1e-9)


@given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 100))
def test_with_equally_many_runs_it_is_that_of_all_together(tasks, runs, seed):
    groups = np.random.default_rng(seed).standard_normal((tasks, runs))
    assert aggregate(list(groups)) == pytest.approx(interquartile_mean(groups.ravel()))


@pytest.mark.parametrize("statistic", STATISTICS)
def test_what_has_to_hold_of_any_interval(statistic):
    generator = np.random.default_rng(0)
    groups = [generator.standard_normal(size) + size / 5 for size in (3, 5, 4)]
    low, high = stratified_interval(groups, statistic)
    assert low <= aggregate(groups, statistic) <= high
    assert stratified_interval([group[::-1] for group in groups], statistic) == (low, high)
    assert stratified_interval(groups[::-1], statistic) == pytest.approx((low, high), abs=0.05)
    inner = stratified_interval(groups, statistic, 0.8)
    assert low < inner[0] < inner[1] < high
    if statistic != "optimality_gap":
        moved = stratified_interval([3 * group - 7 for group in groups], statistic)
        assert moved == pytest.approx((3 * low - 7, 3 * high - 7))


def test_differences_between_tasks_do_not_widen_an_interval():
    generator = np.random.default_rng(0)
    groups = [generator.standard_normal(6) + 100 * task for task in range(4)]
    low, high = stratified_interval(groups, "mean")
    assert high - low < 3
    together = stratified_interval([np.concatenate(groups)], "mean")
    assert together[1] - together[0] > 50


def test_the_interval_of_the_mean_of_normal_values_is_nearly_students():
    """Of many tasks with three runs each, whose samples vary ⅔ of what they should."""
    groups = np.random.default_rng(0).standard_normal((40, 3))
    low, high = stratified_interval(list(groups), "mean")
    error = np.sqrt((groups.var(axis=1, ddof=1) / 3).sum()) / 40
    assert (high - low) / 2 == pytest.approx(1.990 * error, rel=0.04)  # t of 80 degrees of freedom


def test_the_task_with_the_fewest_runs_decides_how_wide_an_interval_is():
    """Half of what is unknown of the mean of two tasks is in the one with few runs, whose deviation six runs say."""
    generator, ratios = np.random.default_rng(0), []
    for _ in range(20):
        few, many = generator.standard_normal(6), generator.standard_normal(200)
        low, high = stratified_interval([few, many], "mean")
        error = np.sqrt(few.var(ddof=1) / 6 + many.var(ddof=1) / 200) / 2
        ratios.append((high - low) / 2 / error)
    # t of 10 degrees of freedom, which is 2.23; it was 1.97 √(5/6) = 1.80, of 204
    assert np.mean(ratios) == pytest.approx(2.13, rel=0.05)


def test_what_has_no_statistic():
    for function in (aggregate, stratified_interval):
        with pytest.raises(ValueError, match="groups must hold the values of at least one task, got none"):
            function([])
        with pytest.raises(ValueError, match=r"groups\[1\] must be finite, got nan"):
            function([[1, 2], [np.nan, 1]])
        with pytest.raises(ValueError, match="statistic must be one of interquartile_mean, mean, .*, got 'mode'"):
            function([[1, 2]], "mode")
    with pytest.raises(ValueError, match=r"groups\[1\]: an interval needs at least 2, got 1"):
        stratified_interval([[1, 2], [1]])
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 1"):
        stratified_interval([[1, 2]], level=1)


def _each_run_counts_the_same(samples, counts):
    return np.array([interquartile_mean(sample) for sample in samples])


test_seeded_bugs = seeded(
    Bug("runs count the same, not tasks", _interquartile_means, _each_run_counts_the_same, [test_by_hand]),
    Bug("scores above the optimum make up for others", _lacking, lambda scores: 1 - scores, [test_by_hand]),
    Bug(
        "samples are drawn from all tasks together",
        checked_groups,
        lambda groups, least=1: [np.concatenate([np.sort(group) for group in groups])],
        [test_differences_between_tasks_do_not_widen_an_interval],
    ),
    Bug(
        "the interval is as if a task's runs were all there are",
        between_tails,
        lambda samples, level, runs, tasks=1: np.quantile(samples, [0.025, 0.975]),
        [test_the_interval_of_the_mean_of_normal_values_is_nearly_students],
    ),
    Bug(
        "the interval is as if all tasks had many runs",
        between_tails,
        lambda samples, level, runs, tasks=1, right=between_tails: right(samples, level, 100, tasks),
        [
            test_the_task_with_the_fewest_runs_decides_how_wide_an_interval_is,
            test_the_interval_of_the_mean_of_normal_values_is_nearly_students,
        ],
    ),
)
