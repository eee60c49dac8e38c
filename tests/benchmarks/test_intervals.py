"""The experiment that says how often intervals hold what they are to hold, and tests find what there is."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from benchmarks.correctness._intervals.distributions import DEVIATIONS, DISTRIBUTIONS, MEANS, MEDIANS, improvement
from benchmarks.correctness._intervals.ways import WAYS, tukey_mclaughlin
from benchmarks.correctness.intervals import CELLS, MEASURED, run, table
from benchmarks.suite.records import Record
from pg_agents.statistics import interquartile_mean


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distributions_own_numbers_are_those_of_many_values(name):
    values = DISTRIBUTIONS[name](np.random.default_rng(0), 400_000)
    assert interquartile_mean(values) == pytest.approx(MEANS[name], abs=0.006)
    assert (values < MEDIANS[name]).mean() == pytest.approx(0.5, abs=0.003)
    if name != "t₂":
        assert values.std() == pytest.approx(DEVIATIONS[name], rel=0.03)


def test_a_probability_of_improvement_is_that_of_the_normal_distribution():
    assert improvement("normal", 1.5) == pytest.approx(0.8556, abs=0.001)  # Φ(1.5 / √2)


def test_tukey_and_mclaughlin_by_hand():
    values = np.array([0.0, 1, 3, 100])  # winsorized: 1, 1, 3, 3, of variance 4/3; t of one degree of freedom
    half = 12.7062 * np.sqrt(4 / 3 / 4) / 0.5
    assert tukey_mclaughlin(values, values) == pytest.approx((2 - half, 2 + half), rel=1e-5)


def test_a_small_experiment_and_its_tables():
    few = {cell.statistic: cell for cell in CELLS if cell.size in (3, 10)}
    assert few.keys() == MEASURED.keys()
    records = [Record("intervals", asdict(cell), 0, run(replace(cell, samples=4), 0)) for cell in few.values()]
    records.append(Record("intervals", asdict(CELLS[0]), 0, None, "ValueError: no"))
    rows = records[0].result["rows"]
    assert rows.keys() == WAYS.keys() and all(0 <= row["coverage"] <= 1 for row in rows.values())
    tables = table(records)
    for text in tables.values():
        assert "%" in text
    assert "**failed** (1 of 1): ValueError: no" in tables["interquartile-mean"] and "missing" in tables["median"]
    row = next(record for record in records if record.cell["statistic"] == "AdaStop").result["rows"]["1.5 σ apart"]
    assert f"{row['found']:.1%}, {row['runs']:.1f} runs" in tables["adastop"]


def test_the_same_cell_measures_the_same():
    cell = replace(CELLS[0], samples=2)
    assert run(cell, 0) == run(cell, 0) != run(cell, 1)
