"""When the rest is expected to end, and what is told in the end."""

from datetime import datetime

import pytest

from benchmarks.suite.progress import Shown
from benchmarks.suite.records import Record
from benchmarks.suite.tasks import Done, Task

ONE, TWO = (Task("mine", "mine.py", {"name": name}, (0, 1), "typed", "commit") for name in ("one", "two"))


class Noon(datetime):
    """A clock that stands."""

    @classmethod
    def now(cls, tz=None):
        return cls(2026, 1, 1, 12)


@pytest.fixture(autouse=True)
def noon(monkeypatch):
    """Let it be noon."""
    monkeypatch.setattr("benchmarks.suite.progress.datetime", Noon)


def test_the_rest_takes_what_its_cells_took_before(tmp_path):
    with Shown(tmp_path / "log", [ONE, TWO], 2, {TWO.name: 3600.0}) as progress:
        errors = "ValueError: no", "ValueError: never"
        failed = [Record("mine", ONE.cell, seed, None, error, seconds=7200.0) for seed, error in enumerate(errors)]
        progress.ended(Done(ONE, tuple(failed)))
    said = (tmp_path / "log").read_text()
    assert "1 of 2  mine/one, seed 0, 1: failed: ValueError: no; ValueError: never  (expected end Thu 13:00)" in said
    assert said.endswith(", 1 failed, 1 left\n")


def test_cells_that_never_ran_take_what_others_take_on_the_average(tmp_path):
    with Shown(tmp_path / "log", [ONE, TWO], 2, {}) as progress:
        assert progress.expected_end() == ""
        done = [Record("mine", ONE.cell, seed, {}, seconds=seconds) for seed, seconds in enumerate((3600.0, 10_800.0))]
        progress.ended(Done(ONE, tuple(done)))
        assert progress.expected_end() == "expected end Thu 14:00"
