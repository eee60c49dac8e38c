"""The median by hand, its interval by what has to hold of any, and by how often it holds the median."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.bugs import Bug, seeded

from pg_agents.statistics import median, median_interval
from pg_agents.statistics.bootstrap import between_tails
from pg_agents.statistics.medians import median_weights

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=24)


@pytest.mark.parametrize(
    ("values", "expected"), [([7], 7), ([1, 4], 2.5), ([9, 0, 3], 3), ([100, 2, 4, 0], 3), ([5, 5, 1, 9, 6], 5)]
)
def test_by_hand(values, expected):
    assert median(values) == pytest.approx(expected, abs=1e-12)


@given(NUMBERS, st.randoms())
def test_the_interval_is_around_it_and_does_not_depend_on_the_order(values, random):
    low, high = median_interval(values)
    assert min(values) <= low <= median(values) <= high <= max(values)
    assert median_interval(random.sample(values, len(values))) == (low, high)


@given(NUMBERS, st.floats(-1e3, 1e3), st.floats(1e-2, 1e2))
def test_shift_and_scale(values, shift, scale):
    moved = [shift + scale * value for value in values]
    expected = [shift + scale * end for end in median_interval(values)]
    assert median_interval(moved) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(NUMBERS)
def test_a_higher_level_is_a_wider_interval(values):
    ends = [median_interval(values, level) for level in (0.5, 0.8, 0.95, 0.99)]
    for inner, outer in zip(ends, ends[1:], strict=False):
        assert outer[0] <= inner[0] <= inner[1] <= outer[1]


@pytest.mark.parametrize("share", [0.5, 0.25])
def test_ten_values_of_two_peaks_hold_the_median_as_often_as_they_say(share):
    generator = np.random.default_rng(3)
    peaks = (generator.random((400, 10)) < share) + 0.1 * generator.standard_normal((400, 10))
    own = 0.5 if share == 0.5 else 0.0431  # ¾ Φ(10 x) + ¼ Φ(10 (x − 1)) = ½
    held = [low <= own <= high for low, high in map(median_interval, peaks)]
    assert 0.92 <= np.mean(held) <= 0.985  # .957 in 4,000 samples; a bound is three standard errors away


def test_what_has_no_median():
    for function in (median, median_interval):
        with pytest.raises(ValueError, match=r"values must be a list of at least one number, got the shape \(0,\)"):
            function([])
    with pytest.raises(ValueError, match="values: an interval needs at least 2, got 1"):
        median_interval([1])


test_seeded_bugs = seeded(
    Bug("the lower of the middle two", median_weights, lambda count: np.eye(count)[(count - 1) // 2], [test_by_hand]),
    Bug(
        "an interval too narrow for few runs",
        between_tails,
        lambda samples, level, runs: np.quantile(samples, [0.05, 0.95]),
        [test_ten_values_of_two_peaks_hold_the_median_as_often_as_they_say],
    ),
)
