"""Agreement with rliable 1.2 (Agarwal et al., 2021), where it is: it needs pandas < 3, an environment of its own."""

import numpy as np
import pytest

from pg_agents.statistics import (
    aggregate,
    performance_profile,
    probability_of_improvement,
    profile_band,
    stratified_interval,
)

pytestmark = pytest.mark.slow
library = pytest.importorskip("rliable.library")
metrics = pytest.importorskip("rliable.metrics")

THEIRS = {
    "interquartile_mean": metrics.aggregate_iqm,
    "mean": metrics.aggregate_mean,
    "median": metrics.aggregate_median,
    "optimality_gap": metrics.aggregate_optimality_gap,
}


def scores(runs, tasks, seed=0):
    """Return scores of runs in tasks that differ, [runs, tasks] as rliable has them."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal((runs, tasks)) * generator.uniform(0.1, 0.5, tasks) + generator.random(tasks)


@pytest.mark.parametrize("statistic", THEIRS)
@pytest.mark.parametrize("shape", [(4, 1), (5, 8), (10, 6), (20, 3)])
def test_statistics_agree(statistic, shape):
    """Of a multiple of four values: of others, rliable rounds quarters down."""
    values = scores(*shape)
    assert aggregate(list(values.T), statistic) == pytest.approx(THEIRS[statistic](values), rel=1e-12)


@pytest.mark.parametrize("statistic", THEIRS)
def test_intervals_agree_with_many_runs(statistic):
    """With few runs theirs are narrower, as they take the runs for all there are."""
    for runs, least, most in ((40, 0.98, 1.1), (5, 1.05, 1.4)):
        values = scores(runs, 8)
        np.random.seed(0)  # noqa: NPY002 (theirs draws from the global generator)
        _, theirs = library.get_interval_estimates(
            {"a": values}, lambda x: np.array([THEIRS[statistic](x)]), reps=3_000
        )
        low, high = theirs["a"].ravel()
        ours = stratified_interval(list(values.T), statistic)
        assert np.mean(ours) == pytest.approx((low + high) / 2, abs=0.1 * (high - low))
        assert least <= (ours[1] - ours[0]) / (high - low) <= most


def test_probabilities_of_improvement_agree():
    x, y = scores(10, 4), scores(7, 4, seed=1)
    ours = np.mean([probability_of_improvement(a, b) for a, b in zip(x.T, y.T, strict=True)])
    assert ours == pytest.approx(metrics.probability_of_improvement(x, y))


def test_profiles_agree():
    values, thresholds = scores(40, 4), np.linspace(-0.5, 1.5, 9)
    np.random.seed(0)  # noqa: NPY002
    profiles, bands = library.create_performance_profile({"a": values}, thresholds, reps=3_000)
    assert performance_profile(list(values.T), thresholds) == pytest.approx(profiles["a"])
    assert np.array(profile_band(list(values.T), thresholds)) == pytest.approx(bands["a"], abs=0.03)
