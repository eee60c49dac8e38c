"""What a run of mutants left behind, read and written down; the runs themselves take too long for a test."""

import json

import pytest

from benchmarks import mutants

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


def result(folder, reasons, monkeypatch):
    change = {"file": "pg_agents/data/tree.py", "function": "f"}
    found = [
        change | {"state": "killed"},
        change | {"state": "survived", "change": "- x > 0\n+ x >= 0"},
        change | {"state": "no tests", "change": "- 1\n+ 2"},
    ]
    monkeypatch.setattr(mutants, "changes", lambda folder: iter(found))
    (folder / "commit").write_text("abc")
    return mutants.result_of(folder, reasons)


def test_reasons_stay_with_their_changes(tmp_path, monkeypatch):
    reasons = {("pg_agents/data/tree.py", "f", "- x > 0\n+ x >= 0"): "x is never 0"}
    found = result(tmp_path, reasons, monkeypatch)
    assert found["files"] == {"pg_agents/data/tree.py": {"killed": 1, "survived": 1, "no tests": 1}}
    assert [one["reason"] for one in found["unnoticed"]] == ["x is never 0", ""]
    page = mutants.page({"data": found})
    assert "| pg_agents/data/tree.py | 1 | 0 | 1 | 1 | 0 |" in page
    assert "- tree.py `f`: `x > 0` → `x >= 0` — x is never 0" in page
    assert "no tests, no reason given yet" in page


def test_what_went_unnoticed_is_forgotten_and_the_rest_is_not(tmp_path):
    folder = tmp_path / "data"
    file = folder / "mutants" / "pg_agents" / "data" / "tree.py.meta"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"exit_code_by_key": {"a": 1, "b": 0, "c": 33, "d": None}}))
    mutants.forget_survivors(folder)
    assert json.loads(file.read_text())["exit_code_by_key"] == {"a": 1, "b": None, "c": None, "d": None}


def test_every_room_is_there_and_has_tests():
    for room in mutants.ROOMS:
        assert (mutants.ROOT / "pg_agents" / room).is_dir() and (mutants.ROOT / "tests" / room).is_dir()


def test_an_unknown_room_is_refused(capsys):
    with pytest.raises(SystemExit):
        mutants.main(["kitchen"])
    assert "unknown room 'kitchen': choose from functional" in capsys.readouterr().err
