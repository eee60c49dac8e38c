"""Tasks in processes of their own: what kills one is a failure, and what kills the runner leaves what is done."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from benchmarks.suite.finding import load
from benchmarks.suite.on_this_machine import carry_out
from benchmarks.suite.records import read
from benchmarks.suite.tasks import due, measure
from pg_agents.errors import UserError

ROOT = Path(__file__).parent.parent.parent

MINE = '''"""What happens?"""
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cell:
    name: str


CELLS = [Cell("quick"), Cell("waits"), Cell("dies")]
SEEDS = range(2)
HERE = Path(__file__).parent


def run(cell, seed):
    (HERE / f"{cell.name}-{seed}-began").touch()
    if cell.name == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        while cell.name == "waits" and not (HERE / "go").exists():
            time.sleep(0.05)
    finally:
        (HERE / f"{cell.name}-{seed}-ended").touch()
    return {"process": os.getpid()}
'''


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path


def until(condition):
    deadline = time.monotonic() + 120
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert condition()


def due_in(folder, seeds):
    load.cache_clear()
    experiment = load(str(folder / "mine.py"))
    return due(experiment, experiment.cells[::-1], seeds, (), ("typed", "commit"))


def outcomes(done):
    """Return the error's type, or that there is none, by cell and seed."""
    return {(r.cell["name"], r.seed): (r.error or "good").split(":")[0] for one in done for r in one.records}


@pytest.mark.slow
def test_what_kills_its_process_is_a_failure_and_the_rest_is_measured_in_other_processes(folder):
    (folder / "go").touch()
    done = []
    carry_out(due_in(folder, [0]), 1, done.append)
    assert outcomes(done) == {("dies", 0): "ProcessDied", ("waits", 0): "good", ("quick", 0): "good"}
    processes = {r.result["process"] for one in done for r in one.records if r.is_good}
    assert os.getpid() not in processes


def test_of_several_that_were_measured_when_a_process_died_it_is_found_which_kills_it(folder, monkeypatch):
    (folder / "go").touch()
    asked = []

    def in_processes(work, tasks, processes, show, *, each, apart):
        """A process dies as soon as one of those that run at a time kills it."""
        assert apart
        asked.append((len(tasks), processes))
        for i, task in enumerate(tasks):
            if any(one.cell["name"] == "dies" for one in tasks[i : i + processes]):
                raise UserError("a process has died") from BrokenProcessPool()
            each(measure(task))

    monkeypatch.setattr("benchmarks.suite.on_this_machine.in_processes", in_processes)
    done, tasks = [], due_in(folder, [0, 1])
    carry_out(sorted(tasks, key=lambda task: task.seeds), 2, done.append)  # dies, waits, quick; dies, waits, quick
    assert len(done) == len(tasks)
    assert asked[:2] == [(6, 2), (2, 1)] and max(count for count, processes in asked if processes == 1) == 2
    assert outcomes(done) == {
        (name, seed): "ProcessDied" if name == "dies" else "good"
        for name in ("quick", "waits", "dies")
        for seed in (0, 1)
    }


def test_another_error_is_an_error(folder, monkeypatch):
    def in_processes(*_, **__):
        raise UserError("no processes today")

    monkeypatch.setattr("benchmarks.suite.on_this_machine.in_processes", in_processes)
    with pytest.raises(UserError, match="no processes today"):
        carry_out(due_in(folder, [0]), 2, list)


def typed(folder, said=subprocess.DEVNULL):
    """Return a process that runs all but the cell that dies, in a session of its own."""
    words = ["run", "mine.py", "--out", "out", "--only", "quick", "--only", "waits"]
    how = {"stdout": subprocess.DEVNULL, "stderr": said, "start_new_session": True}
    path = os.pathsep.join([str(ROOT), str(ROOT / "envs")])
    command = [sys.executable, "-m", "benchmarks", *words]
    return subprocess.Popen(command, cwd=folder, env=os.environ | {"PYTHONPATH": path}, **how)


def ended(folder, number):
    """Return exit code and error stream of a run that a signal ends while it measures the third of four."""
    with (folder / "said").open("w") as said:
        process = typed(folder, said)
        until(lambda: (folder / "waits-0-began").exists() or process.poll() is not None)
        process.send_signal(number)
        code = process.wait(timeout=120)
    until((folder / "waits-0-ended").exists)  # what it was doing has ended, too
    before = read(folder / "out" / "mine.jsonl")
    assert [(r.cell["name"], r.seed) for r in before] == [("quick", 0), ("quick", 1)]
    return code, (folder / "said").read_text()


@pytest.mark.slow
def test_a_run_that_was_killed_leaves_what_is_done_and_the_same_command_measures_the_rest(folder):
    assert ended(folder, signal.SIGKILL)[0] == -signal.SIGKILL
    before = read(folder / "out" / "mine.jsonl")
    (folder / "go").touch()
    assert typed(folder).wait(timeout=120) == 0
    after = read(folder / "out" / "mine.jsonl")
    assert after[:2] == before
    assert sorted((r.cell["name"], r.seed) for r in after[2:]) == [("waits", 0), ("waits", 1)]


@pytest.mark.slow
def test_a_run_ends_in_order_when_it_is_told_to(folder):
    code, said = ended(folder, signal.SIGTERM)
    assert (code, said) == (143, "ended by SIGTERM; the same command goes on\n")
    assert "ended by Terminated, 2 of 4 tasks" in (folder / "out" / "run.log").read_text()
