"""What a run of mutants left behind, read and written down; the runs themselves take too long for a test."""

import json
from dataclasses import asdict

import pytest

from benchmarks.correctness import mutants
from benchmarks.suite.records import Record

DIFF = """--- a.py
+++ a.py
@@ -1,2 +1,2 @@
 def f(x):
-    return x + 1
+    return x - 1"""


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("pg_agents.data.tree.x_tree_map__mutmut_3", "tree_map"),
        ("pg_agents.data.tree.x__each__mutmut_12", "_each"),
        ("pg_agents.data.rollout.xǁBatchǁsum__mutmut_1", "Batch.sum"),
    ],
)
def test_functions_of_mutants(name, function):
    assert mutants.function_of(name) == function


def test_a_change_is_its_lines():
    assert mutants.lines_of(DIFF) == "- return x + 1\n+ return x - 1"


def test_reasons_stand_behind_their_changes(tmp_path, monkeypatch):
    change = {"file": "pg_agents/data/tree.py", "function": "f"}
    found = [
        change | {"state": "killed"},
        change | {"state": "survived", "change": "- x > 0\n+ x >= 0"},
        change | {"state": "no tests", "change": "- 1\n+ 2"},
    ]
    monkeypatch.setattr(mutants, "changes", lambda folder: iter(found))
    (tmp_path / "reasons.toml").write_text(
        "[[reason]]\nfile = 'pg_agents/data/tree.py'\nfunction = 'f'\nreason = 'x is never 0'\n"
        "change = '''\n- x > 0\n+ x >= 0'''\n"
    )
    monkeypatch.setattr(mutants, "REASONS", tmp_path / "reasons.toml")
    result = mutants.result_of(tmp_path)
    assert result["counts"] == {"killed": 1, "survived": 1, "no tests": 1} and result["timeouts"] == []
    cell = next(cell for cell in mutants.CELLS if cell.name == "pg_agents/data/tree.py")
    tables = mutants.table([Record("mutants", asdict(cell), 0, result)])
    assert "| pg_agents/data/tree.py | 1 | 0 | 1 | 1 | 0 |" in tables["files"]
    assert "| pg_agents/data/state.py | missing |" in tables["files"]
    assert "- data/tree.py `f`: `x > 0` → `x >= 0` — x is never 0" in tables["unnoticed"]
    assert "no tests, no reason given yet" in tables["unnoticed"]


def test_every_reason_is_of_a_file_that_is_there():
    assert mutants.reasons() and {file for file, *_ in mutants.reasons()} <= {cell.name for cell in mutants.CELLS}


def test_other_tests_are_a_reason_to_test_survivors_again(tmp_path):
    tests = tmp_path / "tests" / "data"
    tests.mkdir(parents=True)
    (tests / "test_a.py").write_text("1")
    assert mutants.tests_changed(tmp_path, "data") and not mutants.tests_changed(tmp_path, "data")
    (tests / "test_b.py").write_text("2")
    assert mutants.tests_changed(tmp_path, "data")


def test_a_run_without_a_result_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(mutants, "copied", lambda cell: mutants.ROOT)
    monkeypatch.setattr(mutants, "sys", type("sys", (), {"executable": "false"}))
    with pytest.raises(RuntimeError, match="mutmut ended with 1"):
        mutants.run(mutants.CELLS[0], 0)


def test_what_went_unnoticed_is_forgotten_and_the_rest_is_not(tmp_path):
    folder = tmp_path / "data"
    file = folder / "mutants" / "pg_agents" / "data" / "tree.py.meta"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"exit_code_by_key": {"a": 1, "b": 0, "c": 33, "d": None}}))
    mutants.forget_survivors(folder)
    assert json.loads(file.read_text())["exit_code_by_key"] == {"a": 1, "b": None, "c": None, "d": None}


def test_every_room_is_there_and_has_tests():
    assert {cell.room for cell in mutants.CELLS} == set(mutants.ROOMS)
    for room in mutants.ROOMS:
        assert (mutants.ROOT / "tests" / room).is_dir()
    cell = next(cell for cell in mutants.CELLS if cell.name.endswith("losses.py"))
    assert 'only_mutate = ["pg_agents/functional/losses.py"]' in mutants.config(cell)
    assert 'pytest_add_cli_args_test_selection = ["tests/functional"]' in mutants.config(cell)
