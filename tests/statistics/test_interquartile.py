"""The interquartile mean by hand and by scipy, its interval by what has to hold of any."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean
from support.bugs import Bug, seeded

from pg_agents.statistics import bootstrap, interquartile_mean, interval
from pg_agents.statistics.bootstrap import between_tails, resampled
from pg_agents.statistics.interquartile import interquartile_weights

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=24)


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([7], 7),
        ([1, 2], 1.5),
        ([9, 0, 3], (0 + 4 * 3 + 9) / 6),  # ¼ of the lowest and of the highest, of 1½
        ([100, 2, 4, 0], 3),
        ([0, 1, 2, 3, 100], (0.75 * 1 + 2 + 0.75 * 3) / 2.5),
        ([0, 10, 20, 30, 40, 500], (0.5 * 10 + 20 + 30 + 0.5 * 40) / 3),
    ],
)
def test_by_hand(values, mean):
    assert interquartile_mean(values) == pytest.approx(mean, abs=1e-12)


@given(st.integers(1, 12), st.integers(0, 100))
def test_a_multiple_of_four_is_trimmed_as_scipy_does(quarters, seed):
    values = np.random.default_rng(seed).standard_t(2, 4 * quarters)
    assert interquartile_mean(values) == pytest.approx(trim_mean(values, 0.25), rel=1e-12)


@pytest.mark.parametrize("count", range(1, 41))
def test_half_of_the_mass_is_kept(count):
    weights = interquartile_weights(count)
    assert weights.sum() == pytest.approx(1) and (weights >= 0).all()
    assert weights == pytest.approx(weights[::-1]) and weights.max() <= 2 / count + 1e-12


@given(NUMBERS, st.floats(-1e3, 1e3), st.floats(1e-2, 1e2))
def test_shift_and_scale(values, shift, scale):
    moved = [shift + scale * value for value in values]
    expected = [shift + scale * found for found in (interquartile_mean(values), *interval(values))]
    assert [interquartile_mean(moved), *interval(moved)] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(NUMBERS, st.randoms())
def test_the_order_of_the_runs_does_not_matter(values, random):
    shuffled = random.sample(values, len(values))
    assert interquartile_mean(shuffled) == interquartile_mean(values) and interval(shuffled) == interval(values)


@given(NUMBERS)
def test_a_higher_level_is_a_wider_interval(values):
    ends = [interval(values, level) for level in (0.5, 0.8, 0.9, 0.95, 0.99)]
    for inner, outer in zip(ends, ends[1:], strict=False):
        assert outer[0] <= inner[0] <= inner[1] <= outer[1]
    assert min(values) <= ends[-1][0] + 1e-9 and ends[-1][1] <= max(values) + 1e-9


def test_equal_runs_have_an_interval_without_width():
    assert interval([3.5] * 7) == pytest.approx((3.5, 3.5))


def test_samples_of_many_runs_are_drawn_in_parts():
    values = np.sort(np.random.default_rng(0).standard_normal(1_000))
    means = resampled(values, interquartile_weights(1_000))
    assert means.shape == (10_000,) and means.mean() == pytest.approx(interquartile_mean(values), abs=0.01)
    assert means.std() == pytest.approx(1.09 / np.sqrt(1_000), rel=0.1)  # √1.19, the asymptotic one of normal values


def test_samples_that_are_kept_are_those_that_are_drawn(monkeypatch):
    values = np.random.default_rng(0).standard_normal(7)
    first, again = interval(values), interval(values)
    monkeypatch.setattr(bootstrap, "KEPT", 0)
    assert first == again == interval(values)


def test_two_runs_have_the_interval_between_them():
    assert interval([1, 2]) == pytest.approx((1, 2))


def test_ten_normal_runs_are_held_as_often_as_they_say():
    generator = np.random.default_rng(5)
    held = [low <= 0 <= high for low, high in (interval(generator.standard_normal(10)) for _ in range(400))]
    assert 0.93 <= np.mean(held) <= 0.985  # .963 in 2,000 samples; a bound is three standard errors away


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"values must be a list of at least one number, got the shape \(0,\)"),
        ([[1, 2]], r"values must be a list of at least one number, got the shape \(1, 2\)"),
        ([1, np.nan], "values must be finite, got nan"),
        (3, "values must be a list of at least one number, got 3"),
        ({0: 1.5}.values(), r"values must be numbers in a list or an array, got dict_values\(\[1.5\]\); .* give list"),
        ([[1], [1, 2]], r"values must be numbers in a list or an array, got \[\[1\], \[1, 2\]\]"),
        (["a", 1], "values must be numbers in a list or an array, got"),
        ([10**400], "values must be numbers in a list or an array, got"),
    ],
)
def test_what_has_no_interquartile_mean(values, message):
    for function in (interquartile_mean, interval):
        with pytest.raises(ValueError, match=message):
            function(values)


def test_what_has_no_interval():
    with pytest.raises(ValueError, match="values: an interval needs at least 2, got 1"):
        interval([1.0])
    for level in (0, 1, np.nan):
        with pytest.raises(ValueError, match="level must be between 0 and 1"):
            interval([1.0, 2.0], level)


def _rounded_down(count):
    weights = np.zeros(count)
    weights[count // 4 : count - count // 4] = 1
    return weights / weights.sum()


test_seeded_bugs = seeded(
    Bug("quarters are rounded down", interquartile_weights, _rounded_down, [test_by_hand]),
    Bug(
        "the bootstrap's interval, too narrow for few runs",
        between_tails,
        lambda samples, level, runs: np.quantile(samples, [0.5 - level / 2, 0.5 + level / 2]),
        [test_ten_normal_runs_are_held_as_often_as_they_say],
    ),
    Bug(
        "the level is the mass left out",
        between_tails,
        lambda samples, level, runs: np.quantile(samples, [level / 2, 1 - level / 2]),
        [test_a_higher_level_is_a_wider_interval],
    ),
)
