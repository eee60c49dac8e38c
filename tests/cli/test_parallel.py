"""Jobs in several processes: their results in order, their errors, and how they end."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.bugs import Bug, seeded

from pg_agents.cli.parallel import in_processes
from pg_agents.errors import UserError

PROGRAM = """
import sys
sys.path += {path!r}
from pathlib import Path
from pg_agents.cli.parallel import in_processes
from test_parallel import wait_in_order
try:
    in_processes(wait_in_order, [Path({folder!r}) / name for name in "abcd"], {processes}, lambda: None)
except (KeyboardInterrupt, SystemExit) as end:
    print(type(end).__name__)
"""


def shown():
    """Show nothing."""


def double(number):
    time.sleep(0.3 * (number == 1))  # the first ends last
    return 2 * number, os.getpid()


def fail_or_wait(path):
    """Fail in the first of two jobs, wait in the second until told to end."""
    if path.name == "a":
        while not (path.parent / "b-began").exists():
            time.sleep(0.05)
        raise ValueError("alpha must be small")
    wait_in_order(path)


def wait_in_order(path):
    """Note the beginning and, once told to end, the end, which takes a while."""
    path.with_name(f"{path.name}-began").touch()
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        time.sleep(0.5)
        path.with_name(f"{path.name}-ended").touch()
        raise


def die(path):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("processes", [1, 2])
def test_results_are_in_the_order_of_the_jobs(processes):
    shows = []
    results = in_processes(double, [1, 2, 3], processes, lambda: shows.append(1))
    assert [result for result, _ in results] == [2, 4, 6] and shows
    places = {place for _, place in results}
    assert (places == {os.getpid()}) if processes == 1 else (os.getpid() not in places)


def test_one_job_at_a_time_can_be_in_a_process_of_its_own_and_each_result_is_given_when_it_is_there():
    seen = []
    results = in_processes(double, [1, 2, 3], 1, lambda: None, each=seen.append, apart=True)
    assert seen == results and [result for result, _ in results] == [2, 4, 6]
    assert os.getpid() not in {place for _, place in results}


@pytest.mark.slow
def test_an_error_ends_the_others_in_order_and_is_raised(tmp_path):
    with pytest.raises(ValueError, match="alpha must be small") as found:
        in_processes(fail_or_wait, [tmp_path / name for name in "abc"], 2, shown)
    assert "fail_or_wait" in found.value.__notes__[0]  # the worker's traceback
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b-began", "b-ended"]


@pytest.mark.slow
def test_a_process_that_is_killed_is_an_error(tmp_path):
    with pytest.raises(UserError, match="jobs: a process has died, perhaps of too little memory"):
        in_processes(die, [tmp_path] * 2, 2, shown)


def started(tmp_path, processes, began):
    """Return a process that runs four jobs, once the first ones have begun."""
    path = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    program = PROGRAM.format(path=path, folder=str(tmp_path), processes=processes)
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    process = subprocess.Popen([sys.executable, "-c", program], **how)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*-began"))) < began and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    return process


@pytest.mark.slow
@pytest.mark.parametrize(
    ("processes", "number", "kill", "said"),
    [
        (2, signal.SIGINT, os.killpg, "KeyboardInterrupt"),  # as a terminal does
        (2, signal.SIGINT, os.kill, "KeyboardInterrupt"),
        (2, signal.SIGTERM, os.killpg, "Terminated"),
        (2, signal.SIGTERM, os.kill, "Terminated"),
        (1, signal.SIGINT, os.kill, "KeyboardInterrupt"),
    ],
)
def test_a_signal_ends_the_jobs_in_order_and_no_other_begins(tmp_path, processes, number, kill, said):
    process = started(tmp_path, processes, processes)
    kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert (out.strip(), err) == (said, "")
    assert len(list(tmp_path.glob("*-began"))) == len(list(tmp_path.glob("*-ended"))) == processes


@pytest.mark.slow
def test_jobs_end_in_order_when_their_parent_is_killed(tmp_path):
    process = started(tmp_path, 2, 2)
    process.kill()
    process.communicate(timeout=60)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*-ended"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(list(tmp_path.glob("*-ended"))) == 2


test_seeded_bugs = seeded(
    Bug(
        "results come as they end",
        in_processes,
        lambda work, jobs, processes, show: (
            show() or sorted(map(work, jobs), key=lambda found: -found[0]) if processes == 1 else []
        ),
        [(test_results_are_in_the_order_of_the_jobs, "1")],
    ),
)
