"""Records: whole lines, of which the latest counts."""

import pytest

from benchmarks.suite.records import Record, append, latest, read
from pg_agents import locks
from pg_agents.errors import UserError


def record(seed=0, result=None, error=None, name="a"):
    return Record("mine", {"name": name}, seed, result, error)


def test_records_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "new" / "mine.jsonl"
    written = [record(0, {"score": 1.5, "κ": [1, None]}), record(1, error="ValueError: no\nresult")]
    assert read(path) == []
    for one in written:
        append(path, one)
    assert read(path) == written
    assert [one.is_good for one in written] == [True, False]
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.parametrize("torn", ['{"experiment": "torn", "ce', "x" * 200_000])
def test_a_torn_last_line_is_left_out_and_removed_by_the_next_record(tmp_path, torn):
    path = tmp_path / "mine.jsonl"
    append(path, record(0, {"score": 1}))
    with path.open("a") as file:
        file.write(torn)
    assert read(path) == [record(0, {"score": 1})]
    append(path, record(1, {"score": 2}))
    assert [one.seed for one in read(path)] == [0, 1]
    assert torn not in path.read_text()


def test_a_torn_first_line_is_removed(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("{")
    append(path, record(0, {"score": 1}))
    assert read(path) == [record(0, {"score": 1})]


NAMELESS = '{"experiment": "mine", "cell": null, "seed": 0, "result": null}'


@pytest.mark.parametrize("line", ["{", "[1]", '{"experiment": "mine"}', '{"foreign": 1}', NAMELESS])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    path = tmp_path / "mine.jsonl"
    append(path, record(0, {"score": 1}))
    with path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(UserError, match=r"mine\.jsonl, line 2: not a record"):
        read(path)


def test_who_appends_holds_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    other = locks.lock(tmp_path)
    with pytest.raises(OSError, match="another process has held"):
        append(tmp_path / "mine.jsonl", record(0, {"score": 1}))
    locks.release(other)
    append(tmp_path / "mine.jsonl", record(1, {"score": 1}))
    assert [one.seed for one in read(tmp_path / "mine.jsonl")] == [1]


def test_the_latest_record_of_a_cell_and_seed_counts():
    records = [record(0, {"x": 1}), record(1, {"x": 2}), record(0, error="E: 1"), record(0, {"x": 3}, name="b")]
    assert latest(records) == [records[2], records[1], records[3]]
