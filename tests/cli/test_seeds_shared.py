"""`--seeds` in several processes: each trains its part, into the folders that one process would have written."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.bugs import Bug, seeded
from support.forks import in_a_fork
from support.names import ROOT
from support.shared_seeds import on_processes

from pg_agents.cli import main, seeds_apart, seeds_shared
from pg_agents.cli.seeds_apart import share_out

pytestmark = pytest.mark.usefixtures("folder")

SMALL = ["train", "a2c", "CartPole-v1", "--num-envs", "2", "--num-steps", "8", "--hidden", "8"]
RUN = [*SMALL, "--total-steps", "160", "--log-every", "32"]
CLOCK = ("time", "time/steps_per_second")


def read(path):
    return json.loads(path.read_text())


def rows(run_dir):
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in line.items() if name not in CLOCK} for line in lines]


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory):
    """Import what a run imports, before forks do so again and again."""
    assert main([*RUN, "--seeds", "2", "--quiet", "--run-dir", str(tmp_path_factory.mktemp("warm") / "r")]) == 0


def shared(count, *typed, seconds=200):
    """Return what each of several processes has returned and printed, in a fork of this one."""
    found = in_a_fork(lambda: on_processes(count, *typed), seconds)
    assert isinstance(found, list), found
    return found


def alike(one, other, seeds, exactly=False):
    for seed in seeds:
        its, theirs = (rows(folder / f"seed-{seed}") for folder in (one, other))
        assert its == (theirs if exactly else [pytest.approx(row, rel=1e-3, abs=1e-4) for row in theirs])


# -- who trains which --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("seeds", [8, 9, 13, 64])
def test_parts_are_of_neighbours_of_nearly_equal_size_and_become_batches_of_the_same_ranks(seeds, count):
    found = share_out(range(seeds), [1] * seeds, count)
    assert [place for part in found for place in part] == list(range(seeds))
    assert max(map(len, found)) - min(map(len, found)) <= 1
    assert share_out(range(count), [len(part) for part in found], count) == [[number] for number in range(count)]


def test_what_is_left_is_shared_out_by_how_many_seeds_it_has():
    assert share_out(range(5), [4, 1, 1, 1, 1], 2) == [[0], [1, 2, 3, 4]]
    assert share_out([0], [8], 3) == [[], [0], []]
    assert share_out([1, 3], [1] * 4, 2) == [[1], [3]] and share_out([], [1], 2) == [[], []]


# -- runs --------------------------------------------------------------------------------------------------------------
def test_processes_write_what_one_would_have_written(folder):
    (code, out, err), (other, silent, _) = shared(2, *RUN, "--seeds", "3,5,9", "--run-dir", "r")
    assert (code, other, silent) == (0, 0, ""), err
    assert "seeds    3 seeds shared out among 2 processes, in each 1 alone or 2 stacked in one batch\n" in out
    assert out.count("IQM") == 1 and "pg-agents evaluate r/seed-3" in out
    assert main([*RUN, "--seeds", "3,5,9", "--run-dir", "one", "--quiet"]) == 0
    alike(folder / "r", folder / "one", (3, 5, 9))
    assert main([*RUN, "--seeds", "5,9", "--run-dir", "two", "--quiet"]) == 0
    alike(folder / "r", folder / "two", (5, 9), exactly=True)  # the batch of the second
    assert main([*RUN, "--seeds", "1", "--seed", "3", "--run-dir", "three", "--quiet"]) == 0
    alike(folder / "r", folder / "three", (3,), exactly=True)
    mine, whole = (read(folder / name / "summary.json") for name in ("r", "one"))
    assert mine["seeds"] == [3, 5, 9] and mine["steps"] == whole["steps"] and mine["cut_off"] is None
    assert mine["over_seeds"] == whole["over_seeds"]
    assert read(folder / "r/config.json")["batches"] == [[5, 9]]
    assert main(["evaluate", "r/seed-9", "--episodes", "2"]) == 0


@pytest.fixture
def shorter(folder):
    """The folder of two batches, as two processes have left it, and that of one run of as many seeds."""
    shared(2, *RUN, "--seeds", "4", "--run-dir", "r", "--quiet")
    return folder / "r"


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3])
def test_it_goes_on_in_any_number_of_processes_and_who_has_finished_is_left_alone(count, shorter, folder):
    more = ["--total-steps", "320"]
    if count == 1:
        assert main(["resume", "r", *more, "--quiet"]) == 0
    else:
        found = shared(count, "resume", "r", *more)
        assert [code for code, *_ in found] == [0] * count
        idle = "seeds    1 of 3 processes without work, as a batch is not divided\n"
        assert (idle in found[0][1]) == (count == 3)
    for seeds in ("0,1", "2,3"):
        whole = [*SMALL, *more, "--log-every", "32", "--seeds", seeds, "--quiet", "--run-dir", f"whole-{seeds}"]
        assert main(whole) == 0
        alike(folder / "r", folder / f"whole-{seeds}", map(int, seeds.split(",")), exactly=True)
    assert read(shorter / "summary.json")["steps"] == [320] * 4
    assert list(read(shorter / "seed-3/summary.json")["resumed_from"].values()) == ["exactly"]
    before = {path: path.stat().st_mtime_ns for path in shorter.glob("seed-*/*")}
    assert [code for code, *_ in shared(2, "resume", "r", "--quiet")] == [0, 0]
    assert before == {path: path.stat().st_mtime_ns for path in shorter.glob("seed-*/*")}


@pytest.mark.parametrize("way", [[], ["--jobs", "1"]])
def test_what_one_process_has_begun_goes_on_in_several(way, folder):
    assert main([*RUN, "--seeds", "3", *way, "--run-dir", "r", "--quiet"]) == 0
    (code, out, err), (other, silent, _) = shared(2, "resume", "r", "--total-steps", "320", "--json")
    assert (code, other, silent) == (0, 0, ""), err
    assert json.loads(out)["steps"] == [320] * 3
    assert ("one batch goes on, in the first of 2 processes" in err) == (not way)
    whole = [*SMALL, "--total-steps", "320", "--log-every", "32", "--seeds", "3", *way, "--run-dir", "whole"]
    assert main([*whole, "--quiet"]) == 0
    alike(folder / "r", folder / "whole", range(3), exactly=True)


def test_what_fails_in_one_is_said_by_the_first_and_the_others_are_carried_out(folder, monkeypatch):
    train = seeds_apart.train_seed
    failing = lambda job: "the gradient is not finite" if job.config.seed == 1 else train(job)  # noqa: E731
    monkeypatch.setattr(seeds_apart, "train_seed", failing)
    (code, out, err), (other, *silent) = shared(2, *RUN, "--seeds", "2", "--run-dir", "r")
    assert (code, other, silent) == (2, 2, ["", ""])
    assert err == "error: the run of seed 1 has failed: the gradient is not finite\n" and "IQM" in out
    assert read(folder / "r/seed-0/summary.json")["cut_off"] is None


def test_a_folder_that_another_machine_does_not_see_is_refused(folder, monkeypatch):
    sees = seeds_shared.holds_seeds
    monkeypatch.setattr(seeds_shared, "holds_seeds", lambda path: os.environ["RANK"] != "1" and sees(path))
    (code, out, err), other = shared(2, *RUN, "--seeds", "2", "--run-dir", "r", "--quiet")
    assert err.startswith("error: --run-dir: ") and "r is not there for rank 1; give a folder on a disk" in err
    assert (code, out) == (2, "") and other == (2, "", "")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["--seeds", "2"], "--seeds: 2 cannot be shared out among 3 processes; start fewer"),
        (["--seeds", "3,5,3"], "--seeds: 3 is given twice; give different ones"),
        (["--seeds", "3", "--jobs", "2"], "--jobs: 2 has no effect where 3 processes were launched"),
        (["--seeds", "3", "--run-dir", "full"], "--run-dir: full exists and is not an empty folder; give a new one"),
        (["--seeds", "3", "--discount", "2"], "--discount must be"),
    ],
)
def test_bad_input_is_one_sentence_of_the_first(typed, message, folder):
    (folder / "full").mkdir()
    (folder / "full/mine").touch()
    (code, out, err), *others = shared(3, *RUN, *typed)
    assert err.startswith(f"error: {message}") and err.count("\n") == 1 and (code, out) == (2, "")
    assert others == [(2, "", "")] * 2


# -- with a launcher ---------------------------------------------------------------------------------------------------
def launched(*typed, restarts=0):
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "envs")))
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    how = ["--standalone", "--nproc-per-node", "2", "--monitor-interval", "0.2", "--max-restarts", str(restarts)]
    command = [sys.executable, "-m", "torch.distributed.run", *how, "-m", "pg_agents", *typed]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def workers(launcher):
    return Path(f"/proc/{launcher.pid}/task/{launcher.pid}/children").read_text().split()


def begun(launcher, folder):
    """Wait until both batches have checkpoints of something learned."""
    end = time.monotonic() + 300
    while not all(len([*folder.glob(f"batch-{seed}/checkpoints/step-*")]) > 1 for seed in (0, 2)):
        assert time.monotonic() < end and launcher.poll() is None, launcher.communicate()
        time.sleep(0.1)


@pytest.mark.slow
def test_the_first_says_what_is_wrong_though_another_may_end_before(folder):
    launcher = launched(*RUN, "--seeds", "4", "--jobs", "2")
    _, err = launcher.communicate(timeout=300)
    assert err.count("error: --jobs: 2 has no effect") == 1 and launcher.returncode == 1, err


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_process_ends_all_and_the_line_resumes(killed, folder):
    long = [*SMALL, "--total-steps", "10000000", "--seeds", "4", "--run-dir", "r", "--checkpoint-every", "160"]
    launcher = launched(*long)
    begun(launcher, folder / "r")
    os.kill(int(workers(launcher)[killed]), signal.SIGKILL)
    _, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 1 and err.count("0 of 4 seeds have finished\nnext     pg-agents resume r\n") == 1, err
    assert "terminated: 0 of 4" in err
    ended = read(folder / "r" / f"seed-{0 if killed else 2}/summary.json")
    assert ended["cut_off"] == "SIGTERM"


@pytest.mark.slow
def test_processes_that_are_started_again_go_on_by_themselves(folder):
    typed = [*SMALL, "--total-steps", "6000", "--seeds", "4", "--run-dir", "r", "--checkpoint-every", "160"]
    launcher = launched(*typed, restarts=1)
    begun(launcher, folder / "r")
    os.kill(int(workers(launcher)[1]), signal.SIGKILL)
    out, err = launcher.communicate(timeout=600)
    assert launcher.returncode == 0 and out.count("IQM") == 1, err
    ways = [read(folder / f"r/seed-{seed}/summary.json")["resumed_from"] for seed in range(4)]
    assert all(list(one.values()) == ["exactly"] for one in ways)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "said"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")])
def test_a_signal_ends_all_in_order(number, said, folder):
    launcher = launched(
        *SMALL, "--total-steps", "10000000", "--seeds", "4", "--run-dir", "r", "--checkpoint-every", "160"
    )
    begun(launcher, folder / "r")
    launcher.send_signal(number)
    _, err = launcher.communicate(timeout=300)
    assert err.count(f"{said}: 0 of 4 seeds have finished\nnext     pg-agents resume r\n") == 1, err
    ends = {read(folder / "r" / f"seed-{seed}/summary.json")["cut_off"] for seed in range(4)}
    assert ends == {signal.Signals(number).name}


test_seeded_bugs = seeded(
    Bug(
        "each trains all seeds",
        share_out,
        lambda places, sizes, count: [list(places)] * count,
        [test_what_is_left_is_shared_out_by_how_many_seeds_it_has],
    ),
)
