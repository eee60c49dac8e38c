"""The runner measures what is due, whatever fails, and goes on where it was."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.__main__ import main
from benchmarks.suite import command, runner
from benchmarks.suite.finding import load
from benchmarks.suite.records import Record, append, read
from benchmarks.suite.selection import choose
from benchmarks.suite.tasks import due, measure
from benchmarks.suites import SUITES, Part
from pg_agents.errors import UserError

MINE = '''"""How much is a seed?"""
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Cell:
    name: str
    factor: int = 1
    pair: tuple = (1, 2)


CELLS = [Cell("one"), Cell("two", 2)]
SEEDS = (3, 4)


def run(cell, seed):
    with (HERE / "calls").open("a") as file:
        file.write(f"{cell.name} {seed}\\n")
    if (HERE / f"fail-{cell.name}-{seed}").exists():
        raise ValueError("no luck")
    return {"score": cell.factor * seed}
'''
BATCH = """

def run_seeds(cell, seeds):
    with (HERE / "batches").open("a") as file:
        file.write(f"{cell.name} {list(seeds)}\\n")
    if any((HERE / f"fail-{cell.name}-{seed}").exists() for seed in seeds):
        raise ValueError("no luck in the batch")
    return {seed: {"score": cell.factor * seed} for seed in seeds}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Measure in this process, in an empty folder, whose results are the published ones."""
    load.cache_clear()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "published")
    monkeypatch.setattr("benchmarks.suite.on_this_machine.carry_out", in_this_process)


def in_this_process(tasks, jobs, each, show=None):
    for task in tasks:
        each(measure(task))


def test_what_shows_what_others_measured_measures_nothing(tmp_path, capsys):
    (tmp_path / "shows.py").write_text('"""What did they measure?"""\nSOURCES = ("one", "two")\nSHOWN = ("few",)\n')
    found = load(str(tmp_path / "shows.py"))
    assert (found.sources, found.shown, found.cells) == (("one", "two"), ("few",), ())
    (chosen,) = choose(["shows.py"])
    assert chosen.experiment == found and main(["run", "shows.py"]) == 0
    assert main(["list", "shows.py"]) == 0
    assert "shows: What did they measure?\n  shows what is measured by one, two" in capsys.readouterr().out


def mine(text=MINE):
    load.cache_clear()
    with open("mine.py", "w") as file:
        file.write(text)


def lines(name):
    with open(name) as file:
        return file.read().splitlines()


def results(path):
    return {(r.cell["name"], r.seed): r.result and r.result["score"] for r in read(path)}


ALL = {("one", 3): 3, ("one", 4): 4, ("two", 3): 6, ("two", 4): 8}


def test_what_is_due_is_measured_and_recorded_with_where_it_came_from(tmp_path, capsys):
    mine()
    assert main(["run", str(tmp_path / "mine.py"), "--out", str(tmp_path / "out")]) == 0
    found = read(tmp_path / "out" / "mine.jsonl")
    assert results(tmp_path / "out" / "mine.jsonl") == ALL
    one = found[0]
    assert one.experiment == "mine" and one.cell == {"name": "one", "factor": 1, "pair": [1, 2]}
    assert one.command == "python -m benchmarks run mine.py"  # without the places
    assert one.commit and set(one.machine) >= {"cpu", "cores", "memory_gib"}
    assert set(one.versions) == {"python", "torch", "numpy", "gymnasium", "pg_agents"}
    assert one.seconds >= 0 and one.peak_memory_mib > 1 and one.started.endswith("+00:00")
    assert capsys.readouterr().out.count("mine/") == 4
    assert "4 of 4  mine/two, seed 4" in (tmp_path / "out" / "run.log").read_text()


def test_what_is_done_is_not_measured_again_and_what_changed_is(tmp_path):
    mine()
    main(["run", "mine.py", "--seeds", "3,4"])
    main(["run", "mine.py"])
    assert len(lines("calls")) == 4
    mine(MINE.replace('Cell("two", 2)', 'Cell("two", 5)'))
    main(["run", "mine.py", "--seeds", "3,4,5"])
    assert lines("calls")[4:] == ["one 5", "two 3", "two 4", "two 5"]
    current = load(str(tmp_path / "mine.py")).current(read(tmp_path / "benchmark-results" / "mine.jsonl"))
    assert [(r.cell["name"], r.seed, r.result["score"]) for r in current][3:] == [("two", s, 5 * s) for s in (3, 4, 5)]


def test_what_fails_is_a_record_of_its_error_and_is_tried_again(tmp_path):
    mine()
    (tmp_path / "fail-one-4").touch()
    assert main(["run", "mine.py"]) == 1
    path = tmp_path / "benchmark-results" / "mine.jsonl"
    assert results(path) == ALL | {("one", 4): None}
    assert [r.error for r in read(path) if not r.is_good] == ["ValueError: no luck"]
    log = (path.parent / "run.log").read_text()
    assert "failed: ValueError: no luck" in log and 'raise ValueError("no luck")' in log
    (tmp_path / "fail-one-4").unlink()
    assert main(["run", "mine.py"]) == 0
    assert lines("calls")[4:] == ["one 4"]
    assert results(path) == ALL


def test_seeds_of_a_cell_that_are_due_are_one_batch(tmp_path):
    mine(MINE + BATCH)
    main(["run", "mine.py", "--only", "one", "--seeds", "3,5"])
    assert main(["run", "mine.py", "--seeds", "3,4,6"]) == 0
    assert lines("batches") == ["one [3, 5]", "one [4, 6]", "two [3, 4, 6]"]
    path = tmp_path / "benchmark-results" / "mine.jsonl"
    assert len(results(path)) == 7
    current = load(str(tmp_path / "mine.py")).current(read(path)[::-1])
    assert [(r.cell["name"], r.seed) for r in current] == [("one", s) for s in (3, 4, 5, 6)] + [
        ("two", s) for s in (3, 4, 6)
    ]


def test_cells_of_which_seeds_are_no_batch_are_measured_each_by_itself(tmp_path):
    mine(MINE + BATCH + '\n\ndef together(cell):\n    return cell.name == "two"\n')
    assert main(["run", "mine.py"]) == 0
    assert lines("batches") == ["two [3, 4]"] and lines("calls") == ["one 3", "one 4"]


def test_each_seed_of_a_batch_has_its_share_of_the_seconds(monkeypatch):
    mine(MINE + BATCH)
    experiment = load("mine.py")
    (task,) = due(experiment, experiment.cells[:1], [0, 1, 2], (), ("typed", "commit"))
    monkeypatch.setattr("benchmarks.suite.tasks.time", SimpleNamespace(perf_counter=iter([1.0, 7.0]).__next__))
    assert [record.seconds for record in measure(task).records] == [2.0, 2.0, 2.0]


def test_a_process_that_is_told_to_exit_is_a_failure(tmp_path):
    mine((MINE + BATCH).replace("raise ValueError(", "raise SystemExit("))
    (tmp_path / "fail-two-3").touch()
    assert main(["run", "mine.py"]) == 1
    path = tmp_path / "benchmark-results" / "mine.jsonl"
    assert results(path) == ALL | {("two", 3): None}
    assert [r.error for r in read(path) if not r.is_good] == ["SystemExit: no luck"]


def test_what_a_cell_took_when_it_was_last_measured_is_expected(tmp_path):
    mine()
    (chosen,) = choose(["mine.py"])
    cell = {"name": "one", "factor": 1, "pair": [1, 2]}
    for folder, seconds, error in (("published", 5.0, None), ("out", 3.0, None), ("out", 1.0, "E: no")):
        record = Record("mine", cell, 0, None if error else {"score": 0}, error, seconds=seconds)
        append(tmp_path / folder / "mine.jsonl", record)
    assert runner._seconds([chosen], tmp_path / "out") == {"mine/one": 3.0}


def test_one_that_fails_in_a_batch_does_not_fail_the_others(tmp_path):
    mine(MINE + BATCH)
    (tmp_path / "fail-two-3").touch()
    assert main(["run", "mine.py"]) == 1
    assert results(tmp_path / "benchmark-results" / "mine.jsonl") == ALL | {("two", 3): None}


@pytest.mark.parametrize("returned", ["7", "{'x': object()}", "{'x': {1, 2}}"])
def test_a_result_that_is_no_json_is_a_failure(tmp_path, returned):
    mine(MINE.replace('{"score": cell.factor * seed}', returned))
    assert main(["run", "mine.py", "--only", "one", "--seeds", "1"]) == 1
    assert read(tmp_path / "benchmark-results" / "mine.jsonl")[0].error.startswith("TypeError: ")


def test_what_is_published_is_of_a_commit(tmp_path, monkeypatch, capsys):
    mine()
    monkeypatch.setattr(command, "commit", lambda: "0123456789+changes")
    assert main(["run", "mine.py", "--publish"]) == 2
    assert "publish: files differ from 0123456789, the commit of the records; commit them" in capsys.readouterr().err
    assert not (tmp_path / "published").exists() and main(["run", "mine.py", "--only", "one"]) == 0


def test_published_results_take_over_what_is_done(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "commit", lambda: "0123456789")
    mine()
    main(["run", "mine.py", "--only", "one"])
    assert not (tmp_path / "published").exists()
    main(["run", "mine.py", "--publish"])
    assert results(tmp_path / "published" / "mine.jsonl") == ALL
    assert len(lines("calls")) == 4
    main(["run", "mine.py", "--publish"])
    assert len(lines("calls")) == 4 and len(lines("published/mine.jsonl")) == 4


def test_seeds_that_are_not_reported_are_not_taken_over(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "commit", lambda: "0123456789")
    mine()
    main(["run", "mine.py", "--seeds", "100"])
    main(["run", "mine.py", "--publish"])
    assert results(tmp_path / "published" / "mine.jsonl") == ALL


def test_what_two_parts_of_a_suite_have_in_common_is_measured_once(tmp_path, monkeypatch):
    mine()
    parts = Part("mine", ("two",), (7,)), Part("mine", ("t*", "*"), (3, 7)), Part("mine")
    monkeypatch.setitem(SUITES, "all", parts)
    monkeypatch.setattr("benchmarks.suite.selection.named", lambda name: load(f"{tmp_path}/{name}.py"))
    assert main(["run", "all"]) == 0
    assert lines("calls") == ["two 7", "two 3", "one 3", "one 7", "one 4", "two 4"]


def test_exclusive_experiments_run_last_and_alone(tmp_path, monkeypatch):
    mine()
    (tmp_path / "timing.py").write_text(MINE + "\nEXCLUSIVE = True\n")
    calls = []
    monkeypatch.setattr(
        "benchmarks.suite.on_this_machine.carry_out",
        lambda tasks, jobs, each: calls.append((jobs, {task.experiment for task in tasks})),
    )
    main(["run", "timing.py", "mine.py", "--jobs", "3"])
    assert calls == [(3, {"mine"}), (1, {"timing"})]


def test_what_needs_a_module_that_is_missing_says_how_to_install_it(tmp_path, capsys):
    mine(MINE + '\nEXTRAS = ("no_such_module",)\n')
    assert main(["run", "mine.py"]) == 0
    assert "mine: 2 cells are missing: needs no_such_module: pip install no_such_module" in capsys.readouterr().out
    assert not (tmp_path / "calls").exists()


def test_a_task_of_another_cell_is_refused():
    mine()
    experiment = load("mine.py")
    task = due(experiment, experiment.cells[:1], [0], (), ("typed", "commit"))[0]
    task.cell["factor"] = 7
    assert measure(task).records[0].error.startswith("RuntimeError: mine/one is another cell here")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MINE.replace("SEEDS", "SEED"), "there is no SEEDS; an experiment defines CELLS, SEEDS, run"),
        (MINE.replace('"two"', '"one"'), "two cells have the name 'one'; give each its own"),
        (MINE.replace('Cell("one")', "1"), "1 is no cell; a cell is a frozen dataclass with a `name`"),
        (MINE.replace("(3, 4)", "(3, .5)"), "SEEDS must be a sequence of whole numbers, got (3, 0.5)"),
        (MINE.replace("(3, 4)", "()"), "SEEDS must be a sequence of whole numbers, got ()"),
        ("1 / 0", "importing it failed: ZeroDivisionError: division by zero"),
    ],
)
def test_a_file_that_is_no_experiment_is_refused_with_the_fix(tmp_path, capsys, text, said):
    mine(text)
    assert main(["run", "mine.py"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and "mine.py: " in error and said in error
    assert not (tmp_path / "benchmark-results").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.py"], "there is no file"),
        (["nothing.toml"], "there is no file"),
        (["smoke.py"], "'smoke.py' has the name of an experiment of the suite; rename the file"),
        (["mine.py", "--only", "tow"], "only: no cell of mine.py is like 'tow'; did you mean 'two'"),
        (["mine.py", "--seeds", "no"], "seeds must be a number of seeds above 0"),
        (["mine.py", "--ray-address", "auto"], "ray-address has no effect without --backend ray"),
        (["mine.py", "--backend", "ray"], "backend: ray needs 'ray': pip install -c constraints.txt -e \".[ray]\""),
        (["mine.py", "beside/mine.py"], "have one name, 'mine'; rename one of them"),
        (["mine.py", "--out", "mine.py"], "out: 'mine.py' cannot be a folder (File exists); give another"),
        (["no-such-suite"], "there is no suite or experiment 'no-such-suite'"),
    ],
)
def test_what_is_typed_wrong_is_said_with_the_fix(capsys, monkeypatch, arguments, said):
    mine()
    Path("smoke.py").write_text(MINE)
    Path("beside").mkdir()
    Path("beside/mine.py").write_text(MINE)
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "benchmarks.suite.on_ray", raising=False)
    assert main(["run", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_cells_are_chosen_by_pattern_in_the_order_typed(tmp_path):
    mine()
    (tmp_path / "other.py").write_text(MINE)
    chosen = choose(["other.py", "mine.py"], ["mine/t*", "one"], [7])
    assert [(c.experiment.name, [cell.name for cell in c.cells]) for c in chosen] == [
        ("other", ["one"]),
        ("mine", ["one", "two"]),
    ]
    assert all(c.seeds == (7,) for c in chosen)
    with pytest.raises(UserError, match="like 'x'"):
        choose(["mine.py"], ["one", "x"])


def test_list_says_what_is_done_failed_and_missing(tmp_path, capsys):
    mine()
    (tmp_path / "fail-one-4").touch()
    main(["run", "mine.py", "--seeds", "4", "--only", "one"])
    main(["run", "mine.py", "--seeds", "3,4", "--only", "one"])
    capsys.readouterr()
    assert main(["list", "mine.py"]) == 0
    said = capsys.readouterr().out
    assert "mine: How much is a seed?" in said and "2 cells, seeds 3, 4" in said
    assert "one: benchmark-results 1 done, 1 failed" in said and "two: benchmark-results 0 done, 2 missing" in said


@pytest.mark.parametrize("arguments", [["--help"], ["list", "--help"], ["run", "--help"]])
def test_help_is_help(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert "usage: python -m benchmarks" in capsys.readouterr().out


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_a_number_of_jobs_that_is_none_is_refused(capsys, jobs):
    with pytest.raises(SystemExit):
        main(["run", "mine.py", f"--jobs={jobs}"])
    assert f"argument --jobs: must be a whole number above 0, got '{jobs}'" in capsys.readouterr().err


def test_every_experiment_of_the_suite_can_be_listed(capsys):
    assert main(["list"]) == 0


def test_records_are_one_json_object_a_line(tmp_path):
    mine()
    main(["run", "mine.py"])
    assert all(isinstance(json.loads(line), dict) for line in lines("benchmark-results/mine.jsonl"))
