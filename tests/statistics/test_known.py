"""Returns beside what is known, by hand."""

import numpy as np
import pytest
from support.bugs import Bug, seeded, with_result

from pg_agents.statistics import aggregate, area_under_curve, caution, normalized_scores, optimality_gap, regret


def test_scores_by_hand():
    assert normalized_scores([10, 25, 40], optimum=30, random=10) == pytest.approx([0, 0.75, 1.5])
    assert normalized_scores([-300, -100], optimum=-100, random=-500) == pytest.approx([0.5, 1])


def test_a_gap_by_hand():
    assert optimality_gap([10, 25, 40], optimum=30) == pytest.approx((20 + 5 + 0) / 3)
    assert optimality_gap([10, 25, 40], optimum=30, random=10) == pytest.approx((1 + 0.25 + 0) / 3)
    assert optimality_gap([30, 30], 30, 10) == 0 and optimality_gap([10], 30, 10) == 1


def test_a_gap_is_that_of_normalized_scores():
    values = np.random.default_rng(0).standard_normal(7)
    gap = aggregate([normalized_scores(values, 2, -1)], "optimality_gap")
    assert optimality_gap(values, 2, -1) == pytest.approx(gap)


def test_regret_by_hand():
    assert regret([1, 0, 0.5], 1) == pytest.approx([0, 1, 1.5])
    assert regret([[1, 0], [2, 2]], [2, 1]) == pytest.approx(np.array([[1, 2], [0, -1]]))


def test_an_area_by_hand():
    assert area_under_curve([0, 10], [0, 1]) == 0.5
    assert area_under_curve([5, 6, 10], [2, 4, 0]) == pytest.approx((1 * 3 + 4 * 2) / 5)
    assert area_under_curve([0, 1, 4, 9], [7, 7, 7, 7]) == 7


def test_points_on_a_line_change_no_area():
    assert area_under_curve([0, 2, 8], [1, 2, 5]) == pytest.approx(area_under_curve([0, 8], [1, 5]))


@pytest.mark.parametrize(
    ("runs", "says"),
    [(1, "at least 2 runs, got 1"), (3, "in no more than 75 %:"), (4, " 87.5 %:"), (5, "5 runs are wide"), (10, None)],
)
def test_few_runs_are_warned_of(runs, says):
    found = caution(runs)
    assert found is None if says is None else says in found and "use at least 10 seeds" in found


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: normalized_scores([1], 2, 2), r"optimum must be finite and more than random \(2\), got 2"),
        (lambda: optimality_gap([1], -np.inf, 0), r"optimum must be finite and more than random \(0\), got -inf"),
        (lambda: optimality_gap([1], np.nan), "optimum must be finite, got nan"),
        (lambda: optimality_gap([], 1), "values must be a list of at least one number"),
        (lambda: regret([], 1), r"rewards must be \[T\] or \[n, T\] with at least one step, got the shape \(0,\)"),
        (lambda: regret([1, 2], [1, 2, 3]), r"best must be a number or .*, got the shape \(3,\)"),
        (lambda: regret([1, np.nan], 1), "rewards must be finite, got nan"),
        (lambda: regret([1, 2], np.inf), "best must be finite, got inf"),
        (lambda: area_under_curve([1], [1]), "steps and returns must be equally many, at least 2, got 1 and 1"),
        (lambda: area_under_curve([1, 2], [1]), "steps and returns must be equally many, at least 2, got 2 and 1"),
        (lambda: area_under_curve([1, 3, 3], [1, 1, 1]), "steps must ascend, got 3 after a step that is no less"),
        (lambda: area_under_curve([1, 2], [1, np.inf]), "returns must be finite, got inf"),
    ],
)
def test_what_cannot_be_computed(call, message):
    with pytest.raises(ValueError, match=message):
        call()


test_seeded_bugs = seeded(
    Bug(
        "runs above the optimum make up for others",
        optimality_gap,
        lambda values, optimum, random=None: float((optimum - np.array(values)).mean() / (optimum - (random or 0))),
        [test_a_gap_by_hand],
    ),
    Bug(
        "regret of each step", regret, with_result(regret, lambda found: np.diff(found, axis=-1)), [test_regret_by_hand]
    ),
    Bug(
        "points count the same, whatever lies between them",
        area_under_curve,
        lambda steps, returns: float(np.mean(returns)),
        [test_an_area_by_hand, test_points_on_a_line_change_no_area],
    ),
)
