"""Tables of cells say what was measured, what failed and what is missing."""

from types import SimpleNamespace

import pytest

from benchmarks.suite.samples import Row, Sample, interval_text, runs_text, statistics_table
from benchmarks.suite.tables import by_cell, cell_rows, failures, markdown, number
from pg_agents.statistics import caution, interquartile_mean, interval

TEN = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 30.0]


def record(name, seed, result=None, error=None):
    return SimpleNamespace(cell={"name": name}, seed=seed, result=result, error=error)


def test_a_table_in_markdown():
    assert markdown(["a", "b"], [["1"], ["2", "3\n4"]], 1) == "| a | b |\n| --- | ---: |\n| 1 |  |\n| 2 | 3 4 |"
    with pytest.raises(ValueError, match="at most 1 cells"):
        markdown(["a"], [["1", "2"]])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((4417.6, "4,418"), (-1.5566, "−1.557"), (0.6993, "0.6993"), (500.0, "500"), (1_234_567.0, "1,234,567")),
        *((1.234e-5, "1.234e−5"), (999.96, "1000"), (float("-inf"), "−∞"), (None, "–"), (0.0, "0")),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_the_latest_record_of_a_seed_counts():
    found = by_cell([record("a", 0, error="E: x"), record("a", 0, {"y": 1}), record("a", 1, {"y": 2})])
    assert [one.result for one in found["a"].values()] == [{"y": 1}, {"y": 2}]


def test_rows_of_cells_measured_failed_and_missing():
    cells = [SimpleNamespace(name=name) for name in "abc"]
    records = [record("a", 0, {"y": 1}), record("a", 1, error="OSError: a | b\nmore"), record("b", 0, error="E: x")]
    rows = cell_rows(cells, records, lambda results: [[str(one["y"]) for one in results]])
    assert rows == [
        ["a", "1"],
        ["a", "**failed** (1 of 2): OSError: a \\| b"],
        ["b", "**failed** (1 of 1): E: x"],
        ["c", "missing"],
    ]
    assert failures({0: record("a", 0, {})}) == ""
    assert failures({s: record("a", s, error=f"E: {s}") for s in (0, 1)}) == "**failed** (2 of 2): E: 1"


def test_a_failed_run_scores_worst_and_is_counted():
    sample = Sample.of([5.0, None, 7.0], asked=4, worst=-3.0)
    assert sample == Sample((5.0, -3.0, 7.0), failed=1, missing=1)
    assert sample.usable == (5.0, -3.0, 7.0) and runs_text(sample) == "3, 1 failed, 1 missing"


def test_failed_runs_without_a_worst_score_leave_no_statistic():
    sample = Sample.of([5.0, None, 7.0], asked=3)
    assert sample.usable == () and runs_text(sample) == "3, 1 failed"
    assert statistics_table(["cell"], [Row(["a"], sample)]).splitlines()[-1] == "| a | failed | 3, 1 failed |"


def test_statistics_of_cells():
    low, high = interval(TEN)
    table = statistics_table(
        ["environment"],
        [Row(["one"], Sample.of(TEN, asked=10), random=-1.0, optimum=50.0), Row(["two"], Sample.of([], asked=10))],
    )
    head, _, one, two = table.splitlines()
    assert head == "| environment | IQM | 95 % interval | worst … best | runs | random policy | best policy |"
    mean, ends = number(interquartile_mean(TEN)), f"{number(low)} … {number(high)}"
    assert one == f"| one | **{mean}** | {ends} | 1 … 30 | 10 | −1 | 50 |"
    assert two == "| two | missing | – | – | 0, 10 missing | – | – |"


def test_few_runs_are_said_to_be_few():
    assert interval_text([1.0, 2.0, 4.0]).endswith("\\*") and not interval_text(TEN).endswith("\\*")
    assert interval_text(TEN[:4]).endswith("\\*") and not interval_text(TEN[:5]).endswith("\\*")
    assert interval_text([1.0]) == "–"
    assert statistics_table(["cell"], [Row(["a"], Sample.of([1.0], asked=3))]).endswith("|")  # has no interval
    ten, three, four = (Row(["a"], Sample.of(TEN[:count], asked=10)) for count in (10, 3, 4))
    few = statistics_table(["cell"], [ten, four, three])
    assert few.endswith(f"\n\n\\* {caution(3)}.") and "75 %" in few
    assert "\\*" not in statistics_table(["cell"], [ten])


def test_columns_that_no_row_fills_are_left_out():
    assert "policy" not in statistics_table(["cell"], [Row(["a"], Sample.of(TEN, asked=10))])
