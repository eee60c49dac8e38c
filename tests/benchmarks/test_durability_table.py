"""The cells of the faults, and their tables."""

from dataclasses import asdict

from benchmarks import peers
from benchmarks.durability import faults
from benchmarks.durability._faults import running
from benchmarks.durability._faults.cells import CONTROL, FULL
from benchmarks.durability.faults import CELLS, GOOD, good, listed, row, table
from benchmarks.suite.records import Record


def named(name):
    return next(cell for cell in CELLS if cell.name == name)


# -- cells -------------------------------------------------------------------------------------------------------------
def test_every_fault_happens_to_every_library():
    assert {cell.fault for cell in CELLS} == set(FULL) == set(GOOD)
    for fault in FULL:
        libraries = {cell.library for cell in CELLS if cell.fault == fault}
        assert libraries - {CONTROL} == {"pg_agents", "Stable-Baselines3", "TorchRL", "TRL"}
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    assert all((running.WORKERS / f"side_{cell.side}.py").exists() for cell in CELLS)
    assert all(f'"{cell.way}"' in (running.WORKERS / f"side_{cell.side}.py").read_text() for cell in CELLS)


def test_a_cell_is_asked_for_as_it_is(monkeypatch):
    monkeypatch.setattr(faults, "found_in", lambda *asked: {"asked": asked})
    assert faults.run(CELLS[0], 3) == {"asked": (CELLS[0], 3)}


# -- the tables --------------------------------------------------------------------------------------------------------
def test_a_row_says_how_many_are_good_and_everything_that_was_found():
    cell = named("kill: TRL, checkpoint")
    one = {"found": {"old": 2, "refused: ValueError; the earlier one if it is named": 4}, "inside": 5}
    other = {"found": {"old": 1, "new": 1}, "inside": 2}
    assert row(cell, [one, other]) == [
        "4 of 8",
        "refused: ValueError; the earlier one if it is named 4, old 3, new 1; kills inside the save: 7 of 8",
    ]


def test_what_counts_as_good_depends_on_the_fault():
    found = {"old": 1, "refused: ValueError": 2, "other values": 4, "crashed: SIGBUS": 8, "hung": 16}
    assert [good(fault, found) for fault in ("kill", "full", "flip", "truncate")] == [1, 1, 3, 3]
    assert "nothing changes 1" in row(named("flip: pg_agents, agent.save"), [{"found": found}])[1]
    assert listed({"a": 1, "b": 3}) == "b 3, a 1"


def test_the_tables_have_a_row_for_every_cell_and_say_what_was_not_run():
    result = {"found": {"old": 20}, "inside": 0, "versions": {"pg_agents": "9.9"}}
    records = [Record("faults", asdict(CELLS[0]), 0, result)]
    records.append(Record("faults", asdict(CELLS[1]), 0, None, "FileNotFoundError: no Python in .peers"))
    text = "\n".join(table(records).values())
    assert text.count("\n| ") == len(CELLS) + 2 * len(FULL) - 1 and text.count("| not run |") == len(CELLS) - 1
    assert "| 20 of 20 |" in text and "kills inside the save: 0 of 20" in text
    assert "| not run | **failed** (1 of 1): FileNotFoundError: no Python in .peers |" in text
    assert faults.numbers(records) == {"versions": "pg_agents 9.9"}


def test_the_peers_versions_are_pinned():
    assert all("==" in package for package in peers.TORCHRL) and peers.PINNED[0] in peers.TORCHRL
