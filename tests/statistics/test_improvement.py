"""The probability of improvement by hand and by scipy, its interval by its equation and by what has to hold of any."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm
from support.bugs import Bug, seeded, with_arguments, with_result

from pg_agents.statistics import improvement_interval, probability_of_improvement
from pg_agents.statistics.improvement import _compared, _excess, _unbiased_variance, _variance

NUMBERS = st.lists(st.integers(-20, 20).map(float), min_size=2, max_size=12)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([3], [1], 1),
        ([1], [3], 0),
        ([2], [2], 0.5),
        ([1, 4], [2, 3, 5], 2 / 6),  # 4 > 2, 4 > 3
        ([1, 2, 2], [2, 0], (1 + 1.5 + 1.5) / 6),  # 1 > 0; 2 > 0 and 2 = 2, twice
    ],
)
def test_by_hand(x, y, expected):
    assert probability_of_improvement(x, y) == pytest.approx(expected, abs=1e-12)


@given(NUMBERS, NUMBERS)
def test_it_is_mann_and_whitneys_statistic(x, y):
    pairs = len(x) * len(y)
    assert probability_of_improvement(x, y) * pairs == pytest.approx(mannwhitneyu(x, y).statistic)


@given(NUMBERS, NUMBERS)
def test_the_other_way_round_is_the_rest(x, y):
    low, high = improvement_interval(x, y)
    assert improvement_interval(y, x) == pytest.approx((1 - high, 1 - low), abs=1e-9)
    assert 0 <= low <= probability_of_improvement(x, y) <= high <= 1


@given(NUMBERS, NUMBERS, st.randoms())
def test_only_the_order_of_returns_counts(x, y, random):
    shuffled = random.sample(x, len(x))
    assert improvement_interval(shuffled, y) == pytest.approx(improvement_interval(x, y), abs=1e-9)
    assert improvement_interval(np.exp(x), np.exp(y)) == improvement_interval(x, y)


@given(NUMBERS, NUMBERS)
def test_a_higher_level_is_a_wider_interval(x, y):
    ends = [improvement_interval(x, y, level) for level in (0.5, 0.8, 0.95, 0.99)]
    for inner, outer in zip(ends, ends[1:], strict=False):
        assert outer[0] <= inner[0] <= inner[1] <= outer[1]


@given(NUMBERS, NUMBERS)
def test_ends_are_where_the_equation_holds(x, y):
    m, n, middle = len(x), len(y), probability_of_improvement(x, y)
    factor = 1.959964**2 * _excess(_compared(np.array(x), np.array(y)))
    for end in improvement_interval(x, y):
        more = (1 - end) / (2 - end) + end / (1 + end)
        squared = end * (1 - end) / (m * n) * (1 + ((m + n) / 2 - 1) * more)
        assert (middle - end) ** 2 == pytest.approx(factor * squared, abs=1e-6)


def test_an_interval_by_hand():
    """Of m = n = 2 and θ̂ = 1, (1 − θ)² = z² θ (1 − θ) / 4 · (1 + (1 − θ) / (2 − θ) + θ / (1 + θ)); ⅓ solves it with
    z² = (4/9) / (1/18 · 33/20)."""
    level = 2 * norm.cdf(np.sqrt((4 / 9) / (1 / 18 * (1 + 2 / 5 + 1 / 4)))) - 1
    assert improvement_interval([3, 4], [1, 2], level) == pytest.approx((1 / 3, 1), abs=1e-6)


@pytest.mark.parametrize("rates", [(1.0, 1.0), (1.0, 3.0)])
def test_the_models_variance_is_that_of_exponential_distributions(rates):
    generator, m = np.random.default_rng(0), 5
    x, y = (generator.exponential(1 / rate, (40_000, m)) for rate in rates)
    found = (x[:, :, None] > y[:, None, :]).mean((1, 2))
    assert found.var() == pytest.approx(_variance(found.mean(), (m, m)), rel=0.04)  # of two standard errors


def test_the_models_variance_at_a_half_is_that_of_mann_and_whitneys_test():
    for m, n in ((2, 2), (10, 10), (5, 20)):
        assert _variance(0.5, (m, n)) == pytest.approx((m + n + 1) / (12 * m * n))


def test_the_estimate_of_the_variance_is_unbiased():
    """Over all samples of 2 and 3 values, each with its probability."""
    of_x, of_y = {0.0: 0.5, 1.0: 0.2, 2.0: 0.3}, {0.0: 0.3, 2.0: 0.7}
    weights, middles, variances = [], [], []
    for x, y in product(product(of_x, repeat=2), product(of_y, repeat=3)):
        pairs = _compared(np.array(x), np.array(y))
        weights.append(np.prod([of_x[value] for value in x]) * np.prod([of_y[value] for value in y]))
        middles.append(pairs.mean())
        variances.append(_unbiased_variance(pairs))
    assert np.cov(middles, aweights=weights, ddof=0) == pytest.approx(np.average(variances, weights=weights))


def test_returns_with_two_peaks_beside_others_have_a_wider_interval():
    peaks, between = np.array([0.0, 0, 0, 0, 0, 2, 2, 2, 2, 2]), np.ones(10)
    ratio = (10 / 36) / 10 / (21 / 1_200)  # S² is the variance of ten zeros and ones over 10, V(½) (m + n + 1) / 12 m n
    assert 1.3 < _excess(_compared(peaks, between)) == pytest.approx(1 + 2 / 3 * (ratio - 1))
    low, high = improvement_interval(peaks, between)
    plain = improvement_interval(np.arange(10), np.arange(10))
    assert low < plain[0] < 0.5 < plain[1] < high


def test_the_same_agent_is_found_to_be_better_as_often_as_it_says():
    generator = np.random.default_rng(1)
    found = [improvement_interval(*generator.standard_normal((2, 10))) for _ in range(1_000)]
    assert 0.02 <= np.mean([not low <= 0.5 <= high for low, high in found]) <= 0.07


def test_a_difference_of_one_and_a_half_deviations_is_found():
    generator = np.random.default_rng(2)
    found = [improvement_interval(*(generator.standard_normal((2, 10)) + [[1.5], [0]])) for _ in range(400)]
    assert np.mean([low > 0.5 for low, _ in found]) >= 0.8


@pytest.mark.parametrize("given_as", ["x", "y"])
def test_what_has_no_improvement(given_as):
    def arguments(values):
        return (values, [1, 2]) if given_as == "x" else ([1, 2], values)

    for function in (probability_of_improvement, improvement_interval):
        with pytest.raises(ValueError, match=rf"{given_as} must be a list of at least one number, got the shape"):
            function(*arguments([]))
        with pytest.raises(ValueError, match=f"{given_as} must be finite, got inf"):
            function(*arguments([np.inf, 1]))
    with pytest.raises(ValueError, match=f"{given_as}: an interval needs at least 2, got 1"):
        improvement_interval(*arguments([1]))
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 95"):
        improvement_interval([1, 2], [1, 2], 95)


test_seeded_bugs = seeded(
    Bug("ties count as losses", _compared, lambda x, y: 1.0 * (x[:, None] > y), [test_by_hand]),
    Bug("the wrong one is better", _compared, lambda x, y: np.sign(y - x[:, None]) / 2 + 0.5, [test_by_hand]),
    Bug(
        "pairs count as if they were independent",
        _variance,
        lambda probability, shape: probability * (1 - probability) / (shape[0] * shape[1]),
        [test_the_same_agent_is_found_to_be_better_as_often_as_it_says],
    ),
    Bug(
        "the level is that of one side",
        improvement_interval,
        with_arguments(improvement_interval, level=lambda level: max(2 * level - 1, 0.01)),
        [test_the_same_agent_is_found_to_be_better_as_often_as_it_says],
    ),
    Bug(
        "what is left of rows and columns is counted twice",
        _unbiased_variance,
        lambda pairs: pairs.mean(1).var(ddof=1) / pairs.shape[0] + pairs.mean(0).var(ddof=1) / pairs.shape[1],
        [test_the_estimate_of_the_variance_is_unbiased],
    ),
    Bug(
        "two peaks are not noticed",
        _excess,
        with_result(_excess, lambda _: 1.0),
        [test_returns_with_two_peaks_beside_others_have_a_wider_interval],
    ),
)
