"""The seconds of the course's chapters: of each as it is, and of one that fails."""

import subprocess

import pytest

from benchmarks.learning import course
from benchmarks.suite.records import Record


def test_every_chapter_is_measured():
    assert [cell.name[:2] for cell in course.CELLS] == [f"{number:02d}" for number in range(1, 11)]


def test_what_a_chapter_takes_is_its_own_time(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "FOLDER", tmp_path)
    (tmp_path / "works.py").write_text(
        "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: 0"
    )
    (tmp_path / "fails.py").write_text("1 / 0")
    found = course.run(course.Cell("works"), 0)
    assert 0.3 <= found["processor"] < 30 and found["wall"] > 0
    with pytest.raises(subprocess.CalledProcessError):
        course.run(course.Cell("fails"), 0)


def test_the_sum_is_of_all_chapters_or_not_said():
    def record(cell, **result):
        return Record("course", {"name": cell.name}, 0, {"processor": 9.0, "load": 0.5, **result}, None)

    records = [record(cell, wall=10.0 + (cell.name[:2] == "05")) for cell in course.CELLS]
    assert course.numbers(records) == {"all": "101", "longest": "11"} and course.numbers(records[1:]) == {}
    assert "| 05_actor_critic | 11 | 9 |" in course.table(records) and "missing" in course.table(records[1:])
