"""The experiment that says how often intervals of the interquartile mean hold it."""

import numpy as np
import pytest

from benchmarks.intervals import DISTRIBUTIONS, OWN, SIZES, WAYS, measure, page, tukey_mclaughlin
from pg_agents.statistics import interquartile_mean


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distributions_own_mean_is_that_of_many_values(name):
    values = DISTRIBUTIONS[name](np.random.default_rng(0), 400_000)
    assert interquartile_mean(values) == pytest.approx(OWN[name], abs=0.006)


def test_tukey_and_mclaughlin_by_hand():
    values = np.array([0.0, 1, 3, 100])  # winsorized: 1, 1, 3, 3, of variance 4/3; t of one degree of freedom
    half = 12.7062 * np.sqrt(4 / 3 / 4) / 0.5
    assert tukey_mclaughlin(values, values) == pytest.approx((2 - half, 2 + half), rel=1e-5)


def test_a_small_experiment_and_its_page():
    rows = [row for size in SIZES for name in DISTRIBUTIONS for row in measure(name, size, 4, seed=0)]
    assert len(rows) == len(WAYS) * len(SIZES) * len(DISTRIBUTIONS)
    assert all(0 <= row["coverage"] <= 1 and row["median_width"] > 0 for row in rows)
    text = page({"command": "c", "commit": "0", "samples": 4, "sizes": SIZES, "rows": rows})
    assert text.count("\n| ") == len(SIZES) * (len(WAYS) + 1)
