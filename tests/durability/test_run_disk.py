"""Runs whose folder cannot be written any more learn on, say so once, and return their results; none begins there."""

import ctypes
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
import warnings
from contextlib import nullcontext
from dataclasses import asdict

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded
from support.forks import in_a_fork, mount_small
from torch.utils.tensorboard import SummaryWriter

import pg_agents as pg
from pg_agents.checkpoints.store import newest_good
from pg_agents.cli import main
from pg_agents.errors import SavedFilesError
from pg_agents.training import reports
from pg_agents.training.appended import Appended
from pg_agents.training.run_files import EVENTS, METRICS, SUMMARY
from pg_agents.training.unwritten import Unwritten

TOTAL = 400


def made():
    return gym.make_vec("CartPole-v1", 2)


def agent_for(env):
    return pg.A2C.for_env(env, num_steps=10, hidden=(8,))


def parameters(agent):
    return torch.cat([value.flatten() for value in agent.parameters()]).tolist()


class At:
    """A probe that does something once, with the row after a number of steps."""

    def __init__(self, steps, do):
        self.steps, self.do, self.done = steps, do, False

    def __call__(self, run):
        if run.steps >= self.steps and not self.done:
            self.done = True
            self.do()


def run(run_dir, *probes, **more):
    """Return the summary of a run as a table, its warnings, and its agent's parameters."""
    env = made()
    agent = agent_for(env)
    how = {"total_steps": TOTAL, "log_every": 40, "eval_every": 40, "eval_episodes": 2, "progress": False} | more
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        summary = pg.train(agent, env, run_dir=run_dir, eval_env=made(), probes=probes, **how)
    texts = [str(one.message) for one in said if "run_dir" in str(one.message)]
    return asdict(summary), texts, parameters(agent)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return run(tmp_path_factory.mktemp("run") / "r")


def check_learned_on(found, undisturbed):
    """The run took all its steps, and has learned what it learns on a disk that can be written."""
    assert found[0]["total_steps"] == undisturbed[0]["total_steps"] >= TOTAL and found[0]["cut_off"] is None
    assert found[0]["evaluations"] == undisturbed[0]["evaluations"] and found[2] == undisturbed[2]


def rows_of(folder):
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def limit_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


FEW, STEPS = (40, 200, TOTAL), range(40, TOTAL + 1, 40)


@pytest.mark.parametrize("step", [*FEW, *(pytest.param(s, marks=pytest.mark.slow) for s in STEPS if s not in FEW)])
def test_a_disk_that_is_full_from_some_step_on_costs_only_what_comes_later(
    tmp_path, undisturbed, step, record_property
):
    folder = tmp_path / "r"
    found = in_a_fork(lambda: run(folder, At(step, lambda: limit_files(0))))
    check_learned_on(found, undisturbed)
    lacking = {"agent", "checkpoints", METRICS, EVENTS, SUMMARY}
    assert lacking <= set(found[0]["not_written"]) <= lacking | {"best"} and len(found[1]) == 2
    first, last = found[1]
    assert first.startswith(f"run_dir: {METRICS} cannot be written to {folder} (File too large)")
    assert last.startswith(f"run_dir: {folder} is not complete") and all(name in last for name in lacking)
    assert [row["step"] for row in rows_of(folder)][-1] < step
    assert step == 40 or pg.load(folder / "best").name == "a2c"
    checkpoint, damaged = newest_good(folder / "checkpoints")
    assert checkpoint.steps < step and damaged == []
    record_property("steps from which a run's disk is full", 1)
    assert not [name for name in os.listdir(folder) if name.endswith(".tmp")]


def test_a_disk_on_which_there_is_room_again_gets_the_agent(tmp_path, undisturbed):
    def work():
        if not mount_small(tmp_path, "256k"):
            return None
        filler = tmp_path / "filler"
        fill = lambda: filler.write_bytes(b"x" * os.statvfs(tmp_path).f_bavail * 4096)  # noqa: E731
        found = run(tmp_path / "r", At(120, fill), At(240, filler.unlink), lambda run: {"long": "x" * 3000})
        agent = pg.load(tmp_path / "r" / "agent")
        steps = [row["step"] for row in rows_of(tmp_path / "r")]
        return found, parameters(agent), steps

    answer = in_a_fork(work)
    if answer is None:
        pytest.skip("mounting a small disk is not allowed here")
    found, saved, steps = answer
    check_learned_on(found, undisturbed)
    assert saved == found[2] and {METRICS} <= set(found[0]["not_written"]) <= {METRICS, EVENTS, "best"}
    assert steps[-1] >= TOTAL and len(steps) < len(range(0, TOTAL + 1, 40)) and len(found[1]) == 2


def test_a_folder_that_vanishes_costs_the_metrics_and_not_the_agent(tmp_path, undisturbed):
    folder = tmp_path / "deep" / "r"
    found = run(folder, At(200, lambda: shutil.rmtree(tmp_path / "deep")))
    check_learned_on(found, undisturbed)
    assert found[0]["not_written"] == [EVENTS, METRICS] and len(found[1]) == 2 and "has been deleted" in found[1][0]
    assert pg.load(folder / "agent").name == "a2c"
    assert json.loads((folder / SUMMARY).read_text())["not_written"] == [EVENTS, METRICS]


# -- disks and folders that go away in the middle of a run -------------------------------------------------------------
NOTHING_WRITTEN = {"agent", "checkpoints", METRICS, EVENTS, SUMMARY}


def read_only(place):
    """Mount a disk read-only, as a system does that finds it broken; writers' own files are read-only from then on."""
    for number in os.listdir("/proc/self/fd"):
        path = os.path.realpath(f"/proc/self/fd/{number}")
        if path.startswith(str(place)) and os.path.isfile(path):
            os.dup2(os.open(path, os.O_RDONLY), int(number))  # while a file can be written, no disk becomes read-only
    assert os.system(f"mount -o remount,ro {place}") == 0


def vanish(place):
    assert os.system(f"umount -l {place}") == 0  # files that are open stay


def forbid(place):
    (place / "r").chmod(0o500)
    ctypes.CDLL(None).setfsuid(65534)  # from here on permissions count, for root too


LOST = {
    "read-only": (read_only, "Read-only"),
    "unmounted": (vanish, "disk is gone"),
    "forbidden": (forbid, "Permission"),
}


@pytest.mark.parametrize("how", LOST)
def test_a_disk_that_goes_away_in_the_middle_costs_only_what_comes_later(tmp_path, undisturbed, how):
    place, same = tmp_path / "disk", tmp_path / "same"

    def work():
        place.mkdir()
        same.mkdir()
        if not mount_small(place, "4m") or os.system(f"mount --bind {place} {same}"):
            return None
        found = run(place / "r", At(200, lambda: LOST[how][0](place)), checkpoint_every=40)
        ctypes.CDLL(None).setfsuid(0)
        newest, wrong = newest_good(same / "r" / "checkpoints")
        begun = pg.load(same / "r" / "checkpoints" / "start").name, pg.load(same / "r" / "best").name
        return found, newest.steps, wrong, rows_of(same / "r")[-1]["step"], begun

    answer = in_a_fork(work)
    if answer is None:
        pytest.skip("mounting a small disk is not allowed here")
    if isinstance(answer, BaseException):
        raise answer
    found, steps, wrong, row, begun = answer
    check_learned_on(found, undisturbed)
    first, last = found[1]
    assert first.startswith(f"run_dir: {METRICS} cannot be written to {place / 'r'} (") and LOST[how][1] in first
    assert last.startswith(f"run_dir: {place / 'r'} is not complete")
    kept = set() if how == "unmounted" else {"agent", SUMMARY}  # where the disk was there is a folder
    kept |= {"checkpoints"} if how != "unmounted" else set()
    assert {METRICS, EVENTS} | kept <= set(found[0]["not_written"]) <= NOTHING_WRITTEN | {"best"}
    assert 160 <= steps == row < 200 and not wrong and begun == ("a2c", "a2c")


def test_a_folder_that_becomes_a_file_is_left_alone_and_the_run_learns_on(tmp_path, undisturbed):
    folder, moved = tmp_path / "r", tmp_path / "moved"

    def replace():
        folder.rename(moved)
        folder.write_text("mine")

    found = run(folder, At(200, replace), checkpoint_every=40)
    check_learned_on(found, undisturbed)
    assert NOTHING_WRITTEN <= set(found[0]["not_written"]) <= NOTHING_WRITTEN | {"best"} and len(found[1]) == 2
    newest, wrong = newest_good(moved / "checkpoints")
    assert 160 <= newest.steps == rows_of(moved)[-1]["step"] < 200 and not wrong
    assert folder.read_text() == "mine" and sorted(os.listdir(tmp_path)) == ["moved", "r"]


@pytest.mark.parametrize("typed", [False, True])
def test_a_signal_ends_a_run_in_order_whose_disk_is_full(tmp_path, typed):
    """The checkpoint that a signal asks for cannot be written, and neither can the agent."""

    def ends():
        limit_files(0)
        signal.raise_signal(signal.SIGTERM)

    def work():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.stderr = told = io.StringIO()
        if typed:
            probe, default = At(40, ends), reports.default_probes
            reports.default_probes = lambda *how: [*default(*how), probe]
            path = ["--run-dir", str(tmp_path / "r"), "--log-every", "40", "--total-steps", str(TOTAL), "--quiet"]
            return main(["train", "a2c", "CartPole-v1", "--checkpoint-every", "40", *path]), told.getvalue()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                run(tmp_path / "r", At(40, ends), checkpoint_every=40)
            except pg.Terminated as end:
                return end.code, str(end), len(said)

    code, text, *_ = in_a_fork(work)
    newest, wrong = newest_good(tmp_path / "r" / "checkpoints")
    said = f"; the newest checkpoint is of step {newest.steps:,}"
    assert code == 143 and not wrong and said in text and "the agent is saved" not in text
    if typed:
        first, last, end, resumes = text.splitlines()
        assert first.startswith("warning: run_dir: ") and last.startswith("warning: run_dir: ")
        assert end.startswith("terminated: at step ") and resumes == f"next     pg-agents resume {tmp_path / 'r'}"


def test_what_cannot_be_written_is_noted_until_it_is_and_said_once(tmp_path):
    unwritten = Unwritten(tmp_path)
    with pytest.warns(RuntimeWarning, match="run_dir: agent cannot be written .*; the run goes on") as said:
        for what, error in (("agent", SavedFilesError("it holds 'mine'")), ("best", OSError(28, "No space left"))):
            with unwritten.tolerated(what):
                raise error
    assert len(said) == 1 and unwritten.reasons == {"agent": "it holds 'mine'", "best": "No space left"}
    unwritten.written("agent")
    with pytest.warns(RuntimeWarning, match=r"is not complete, these could not be written: best \(No space left\)$"):
        unwritten.warn()
    unwritten.written("best")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        unwritten.warn()


def test_a_record_that_does_not_fit_leaves_nothing(tmp_path):
    def work():
        limit_files(250)
        file, refused = Appended(tmp_path / "lines"), 0
        for number in range(9):
            try:
                file.append(b"%d" % number * 99 + b"\n")
            except OSError:
                refused += 1
        return refused

    assert in_a_fork(work) == 7
    assert (tmp_path / "lines").read_bytes() == b"0" * 99 + b"\n" + b"1" * 99 + b"\n"


def test_tensorboards_own_writer_raises_in_the_training(tmp_path):
    def work():  # the control arm
        events = SummaryWriter(str(tmp_path))
        limit_files(100)
        for step in range(100):
            events.add_scalar("x", step, step)
            events.flush()

    assert isinstance(in_a_fork(work), OSError)


# -- R6: at the start --------------------------------------------------------------------------------------------------
class Counted(gym.Wrapper):
    steps = 0

    def step(self, action):
        Counted.steps += 1
        return super().step(action)


def test_a_run_whose_folder_cannot_be_made_is_refused_within_a_second(tmp_path, undisturbed):
    (tmp_path / "file").write_text("mine")
    env = Counted(gym.make("CartPole-v1"))
    agent = agent_for(env)
    begun = time.process_time()
    with pytest.raises(
        ValueError, match=r"run_dir: .*file/r cannot be made or written to \(Not a directory\)"
    ) as error:
        pg.train(agent, env, total_steps=TOTAL, run_dir=tmp_path / "file" / "r", progress=False)
    assert time.process_time() - begun < 1 and "\n" not in str(error.value)
    assert Counted.steps == 0 and os.listdir(tmp_path) == ["file"]


def test_control_tensorboards_own_writer_raises_what_the_system_says(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="Not a directory"):
        SummaryWriter(str(tmp_path / "file" / "r"))


def test_the_command_line_refuses_it_too(tmp_path, undisturbed, capsys):
    (tmp_path / "file").write_text("mine")
    begun = time.process_time()
    assert main(["train", "a2c", "CartPole-v1", "--run-dir", str(tmp_path / "file" / "r")]) == 2
    assert time.process_time() - begun < 1
    assert capsys.readouterr().err.startswith("error: --run-dir: ")


def test_a_run_does_not_begin_on_a_full_disk(tmp_path):
    env = Counted(gym.make("CartPole-v1"))

    def work():
        limit_files(0)
        try:
            pg.train(agent_for(env), env, total_steps=TOTAL, run_dir=tmp_path / "r", progress=False)
        except ValueError as error:
            return str(error), Counted.steps

    error, steps = in_a_fork(work)
    assert error.startswith(f"run_dir: {tmp_path / 'r'} cannot be made or written to (File too large)") and steps == 0


@pytest.mark.parametrize("part", ["write_start", "write_checkpoint"])
def test_a_run_does_not_begin_where_its_first_checkpoint_cannot_be_written(tmp_path, monkeypatch, part):
    env = Counted(gym.make("CartPole-v1"))
    before = Counted.steps

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(f"pg_agents.training.checkpointing.{part}", full)
    with pytest.raises(
        ValueError, match=r"^run_dir: .*r cannot be made or written to \(No space left on device\); give"
    ):
        pg.train(agent_for(env), env, total_steps=TOTAL, run_dir=tmp_path / "r", progress=False)
    assert Counted.steps == before


def test_the_command_line_says_that_the_agent_was_not_saved(tmp_path):
    def work():
        limit_files(16_000)
        path = ["--run-dir", str(tmp_path / "r")]
        sys.stderr = told = io.StringIO()
        code = main(
            [
                "train",
                "a2c",
                "CartPole-v1",
                *path,
                "--total-steps",
                "80",
                "--hidden",
                "512",
                "--quiet",
                "--keep-checkpoints",
                "0",
            ]
        )
        return code, told.getvalue()

    code, line = in_a_fork(work)
    said = f"error: --run-dir: the trained agent could not be saved in {tmp_path / 'r'}, and is lost; "
    assert code == 2 and line.splitlines()[-1].startswith(said)


test_seeded_bugs = seeded(
    Bug(
        "what cannot be written ends the run",
        Unwritten.tolerated,
        lambda self, what: nullcontext(),
        [test_a_folder_that_vanishes_costs_the_metrics_and_not_the_agent],
        raises=OSError,
    ),
    Bug(
        "half a record stays",
        Appended.append,
        lambda self, record: self.path.open("ab", buffering=0).write(record),
        [test_a_record_that_does_not_fit_leaves_nothing],
    ),
)
