"""Every promise has tests that are there, and their counts are added up as they were recorded."""

from dataclasses import asdict

import pytest

from benchmarks.durability import scorecard
from benchmarks.durability._promises import PROMISES, RESUME
from benchmarks.suite.records import Record

REPORT = """<testsuites><testsuite>
<testcase classname="tests.a.test_b" name="test_c[one]"><properties>
<property name="kills" value="200"/><property name="cell" value="ppo-X"/></properties></testcase>
<testcase classname="tests.a.test_b" name="test_c[two]">
<properties><property name="kills" value="4"/></properties></testcase>
<testcase classname="tests.a.test_b" name="test_d"><failure message="no"/></testcase>
<testcase classname="tests.a.test_b" name="test_e"><skipped/></testcase>
</testsuite></testsuites>"""
C, D, E = (f"tests/a/test_b.py::test_{name}" for name in "cde")


@pytest.fixture
def found(tmp_path):
    (tmp_path / "report.xml").write_text(REPORT)
    return scorecard.read(tmp_path / "report.xml")


def test_every_promise_has_tests_that_are_there():
    assert [*PROMISES] == [*(f"R{number}" for number in range(1, 21)), "R24"]
    for promise in PROMISES.values():
        assert promise.tests and promise.text.endswith(".")
        scorecard.check((*promise.tests, *promise.controls))
    scorecard.check(RESUME)


@pytest.mark.parametrize("stale", ["tests/test_seeding.py::test_nothing", "tests/test_nothing.py::test_nothing"])
def test_a_test_that_is_not_there_is_an_error(stale):
    with pytest.raises(ValueError, match="is not there; correct benchmarks/durability/_promises.py"):
        scorecard.check([stale])


def test_what_cases_recorded_is_added(found):
    assert scorecard.added([C, D], found) == {"kills": 204}
    assert scorecard.outcomes([C, D, E], found) == {"passed": 2, "failed": 1, "skipped": 1}


def test_what_failed_is_said_and_what_was_resumed_is_of_all_promises(found):
    first, second, third = scorecard.CELLS[:3]
    results = scorecard.result_of((C,), (D,), found), scorecard.result_of((C,), (), found)
    assert results[0]["resumed"] == {"ppo-X": {"kills": 200.0}}
    results[1]["resumed"] = {"ppo-X": {scorecard.COLUMNS[1]: 3.0}}
    records = [Record("scorecard", asdict(cell), 0, one) for cell, one in zip((first, second), results, strict=True)]
    records.append(Record("scorecard", asdict(third), 0, None, "ValueError: a test did not run"))
    tables = scorecard.table(records)
    assert f"| R1 | {first.promise} | 2 cases; kills 204 | kept | 0 cases, **1 failed** |" in tables["promises"]
    assert f"| R3 | {third.promise} | **failed** (1 of 1): ValueError: a test did not run |" in tables["promises"]
    assert f"| R4 | {PROMISES['R4'].text} | missing |" in tables["promises"]
    assert "| ppo-X |  | 3 |  |  |  |" in tables["resumed"]
    assert f"`{PROMISES['R1'].controls[0]}`" in tables["tests"]
