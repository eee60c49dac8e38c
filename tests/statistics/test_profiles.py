"""Performance profiles by hand, and their bands by what has to hold of any."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from support.bugs import Bug, seeded

from pg_agents.statistics import performance_profile, profile_band
from pg_agents.statistics.profiles import _above

GROUPS = st.lists(st.lists(st.floats(-3, 3), min_size=2, max_size=6), min_size=1, max_size=4)


def test_by_hand():
    profile = performance_profile([[0, 1, 2], [1, 5]], [-1, 0, 1, 1.5, 5])
    assert profile == pytest.approx([1, (2 / 3 + 1) / 2, (1 / 3 + 1 / 2) / 2, (1 / 3 + 1 / 2) / 2, 0])


@settings(max_examples=30)
@given(GROUPS)
def test_it_falls_from_one_to_zero_within_its_band(groups):
    thresholds = np.linspace(-3.5, 3.5, 15)
    profile, (low, high) = performance_profile(groups, thresholds), profile_band(groups, thresholds)
    assert profile[0] == 1 and profile[-1] == 0 and (np.diff(profile) <= 0).all()
    assert (low <= profile + 1e-9).all() and (profile <= high + 1e-9).all()
    assert low.min() >= 0 and high.max() <= 1 + 1e-9


def test_the_band_of_one_task_is_between_quantiles_of_a_binomial_distribution():
    values = np.arange(20)
    low, high = profile_band([values], [3.5, 9.5])  # 16 and 10 of 20 are above
    for place, share in enumerate((0.8, 0.5)):
        ends = binom.ppf([0.0182, 1 - 0.0182], 20, share) / 20  # Φ(t), t = −2.093 of 19 degrees of freedom
        assert (low[place], high[place]) == pytest.approx(ends, abs=0.051)


def test_the_band_of_ten_tasks_of_two_runs_is_as_wide_as_ten_degrees_of_freedom_are_few():
    low, high = profile_band([[0, 1]] * 10, [0.5])
    tail = 0.00107  # Φ(t √(19 / 10)), t = −2.228 of 10 degrees of freedom
    assert (low[0], high[0]) == pytest.approx(binom.ppf([tail, 1 - tail], 20, 0.5) / 20, abs=0.051)


def test_the_task_with_the_fewest_runs_decides_how_wide_a_band_is():
    low, high = profile_band([[0, 1] * 3, [0, 1] * 100], [0.5])
    # α = Φ(t √(11 / 10)), t = −2.228 of 10 degrees of freedom; of 206 runs it would be 3 of the 6 less often
    ends = binom.ppf([0.00972, 1 - 0.00972], 6, 0.5) / 12 + 0.25
    assert (low[0], high[0]) == pytest.approx(ends, abs=0.05)
    assert high[0] - low[0] > 0.42


def test_a_higher_level_is_a_wider_band_and_more_runs_a_narrower_one():
    generator = np.random.default_rng(0)
    few, many = generator.standard_normal((3, 5)), generator.standard_normal((3, 50))

    def width(groups, level):
        low, high = profile_band(list(groups), [0.0], level)
        return float(high[0] - low[0])

    assert width(few, 0.5) < width(few, 0.95) and width(many, 0.95) < width(few, 0.95) / 2


def test_what_has_no_profile():
    for function in (performance_profile, profile_band):
        with pytest.raises(ValueError, match="groups must hold the values of at least one task, got none"):
            function([], [0])
        with pytest.raises(ValueError, match=r"thresholds must be a list of at least one number, got the shape \(0,\)"):
            function([[1, 2]], [])
    with pytest.raises(ValueError, match=r"groups\[0\]: an interval needs at least 2, got 1"):
        profile_band([[1]], [0])


test_seeded_bugs = seeded(
    Bug("runs at a threshold are above it", _above, lambda values, at: 1.0 * (values[:, None] >= at), [test_by_hand]),
    Bug("those below are counted", _above, lambda values, at: 1.0 * (values[:, None] < at), [test_by_hand]),
)
