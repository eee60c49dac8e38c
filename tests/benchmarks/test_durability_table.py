"""The durability benchmark's cells, records and tables."""

from benchmarks.durability import command, running
from benchmarks.durability.cells import CELLS, CONTROL, FULL, Cell, chosen
from benchmarks.durability.table import GOOD, HEADS, good, listed, row, table
from benchmarks.former import COMMANDS
from benchmarks.peers import machine


# -- cells and records -------------------------------------------------------------------------------------------------
def test_every_fault_happens_to_every_library():
    assert {cell.fault for cell in CELLS} == set(FULL) == set(GOOD) == set(HEADS)
    for fault in FULL:
        libraries = {cell.library for cell in CELLS if cell.fault == fault}
        assert libraries - {CONTROL} == {"pg_agents", "Stable-Baselines3", "TorchRL", "TRL"}
    assert len({cell.name for cell in CELLS}) == len(CELLS)
    assert all((running.WORKERS / f"side_{cell.side}.py").exists() for cell in CELLS)
    assert all(f'"{cell.way}"' in (running.WORKERS / f"side_{cell.side}.py").read_text() for cell in CELLS)


def test_cells_are_chosen_by_words():
    assert chosen([]) == CELLS
    assert {(cell.fault, cell.library) for cell in chosen(["KILL", "torchrl"])} == {("kill", "TorchRL")}
    assert command.main(["run", "--only", "nobody"]) == 2


def test_records_are_appended_and_a_line_that_was_cut_off_is_left_out(tmp_path, capsys):
    file = tmp_path / "deep" / "durability.jsonl"
    running.append(file, {"cell": "a", "n": 1})
    with file.open("a") as end:
        end.write('{"cell": "b", "n"')
    running.append(file, {"cell": "a", "n": 2})
    assert running.newest(running.read(file)) == {"a": {"cell": "a", "n": 2}}
    assert "a line is no JSON" in capsys.readouterr().err and running.read(tmp_path / "none") == []


def test_a_run_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    asked = []

    def answer(cell, count, peers):
        asked.append((cell.library, count))
        if cell.library == "pg_agents":
            return {"not_run": "there is no resume"}
        if cell.library == "TRL":
            raise RuntimeError("TRL is ill")
        return {"found": {"equal": count}, "versions": {"it": "1"}}

    monkeypatch.setattr(command, "run", answer)
    here = ["--only", "resume:", "--out", str(tmp_path)]
    assert command.main(["run", *here, "--count", "2"]) == 1
    others = [("Stable-Baselines3", 2), ("TorchRL", 2)]
    assert asked == [("pg_agents", 2), *others, ("TRL", 2)]
    said = capsys.readouterr()
    assert "pg.train: not run, there is no resume" in said.out and "TRL is ill" in said.err
    asked.clear()
    command.main(["run", *here, "--count", "2"])
    assert asked == [("pg_agents", 2), ("TRL", 2)]  # those that have been run are not run again
    asked.clear()
    command.main(["run", *here])
    assert asked == [(library, 5) for library in ("pg_agents", "Stable-Baselines3", "TorchRL", "TRL")]
    records = running.read(tmp_path / "durability.jsonl")
    assert (
        records[0]["command"].startswith("python -m benchmarks durability run --only resume:") and records[0]["commit"]
    )
    capsys.readouterr()
    assert command.main(["cells", *here]) == 0
    assert [line.split()[-3] for line in capsys.readouterr().out.splitlines()] == ["0", "5", "5", "0"]


# -- the table ---------------------------------------------------------------------------------------------------------
def test_a_row_says_how_many_are_good_and_everything_that_was_found():
    cell = Cell("kill", "TRL", "trl", "checkpoint")
    record = {"found": {"old": 3, "refused: ValueError; the earlier one if it is named": 4, "new": 1}, "inside": 7}
    assert row(cell, record) == [
        "TRL",
        "`checkpoint`",
        "4 of 8",
        "refused: ValueError; the earlier one if it is named 4, old 3, new 1; kills inside the save: 7 of 8",
    ]
    assert row(cell, None)[2] == "not run"


def test_what_counts_as_good_depends_on_the_fault():
    found = {"old": 1, "refused: ValueError": 2, "other values": 4, "crashed: SIGBUS": 8, "hung": 16}
    assert [good(fault, found) for fault in ("kill", "full", "flip", "truncate")] == [1, 1, 3, 3]
    assert "nothing changes 1" in row(Cell("flip", "us", "ours", "save"), {"found": found})[3]
    assert listed({"a": 1, "b": 3}) == "b 3, a 1"


def test_the_table_has_a_row_for_every_cell_and_says_what_was_not_run(tmp_path, capsys):
    first = {"cell": CELLS[0].name, "found": {"old": 20}, "inside": 0, "versions": {"pg_agents": "9.9"}}
    running.append(tmp_path / "durability.jsonl", first)
    assert command.main(["table", "--out", str(tmp_path)]) == 0
    text = (tmp_path / "durability.md").read_text()
    assert text == table(running.newest([first])) and text.strip() == capsys.readouterr().out.strip()
    assert text.count("\n| ") == len(CELLS) + 2 * len(FULL) and text.count("| not run |") == len(CELLS) - 1
    assert "| 20 of 20 |" in text and "pg_agents 9.9" in text and "kills inside the save: 0 of 20" in text


def test_the_peers_versions_are_pinned():
    assert all("==" in package for package in machine.TORCHRL) and machine.PINNED[0] in machine.TORCHRL
    assert COMMANDS["durability"] == "benchmarks.durability.command"
