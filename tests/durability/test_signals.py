"""SIGTERM and Ctrl-C: a run ends in order within seconds, loses nothing, leaves no process, and says how it goes on."""

import contextlib
import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch
from support.bugs import Bug, seeded
from support.forks import CONTEXT, in_a_fork
from support.loads import at_this_load
from support.misbehaving import Misbehaves

import pg_agents as pg
from pg_agents.checkpoints.store import newest_good
from pg_agents.cli import main
from pg_agents.folders import sweep
from pg_agents.training import signals
from pg_agents.training.signals import Signals, Stopping

CODES = {signal.SIGTERM: 143, signal.SIGINT: 130}
WORDS = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupted"}
LONG = 10**9
SECONDS = 10.0  # within which a run ends on an idle machine


@pytest.fixture(autouse=True, scope="module")
def everything_is_imported():
    pg.train(pg.A2C.for_env(Misbehaves(), hidden=(4,)), Misbehaves(), total_steps=20, progress=False)
    import torch.utils.tensorboard  # noqa: F401 - takes a second


class Started:
    """A fork that does `work()`, heeds signals as a fresh process does, and writes standard error to a file."""

    def __init__(self, folder, work):
        self.folder, self.work, self.told = folder, work, folder / "told"
        self.process = CONTEXT.Process(target=self._run)
        self.process.start()

    def _run(self):
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        torch.set_num_threads(1)
        descriptor = os.open(self.told, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 2)
        sys.stderr, sys.stdout = os.fdopen(2, "w"), open(os.devnull, "w")  # noqa: SIM115 - until the process ends
        faulthandler.register(signal.SIGUSR1)
        code = self.work()
        sys.stderr.flush()
        os._exit(code or 0)

    def wait_for(self, path, seconds=60):
        end = time.monotonic() + seconds
        while not (path.exists() and path.stat().st_size) and time.monotonic() < end:
            time.sleep(0.01)
        assert path.exists(), self.told.read_text()

    def send(self, *numbers, pause=0.0, group=False):
        for number in numbers:
            (os.killpg if group else os.kill)(self.process.pid, number)
            time.sleep(pause)

    def end(self):
        """Return the exit code and what was said; it must end within some seconds, without a traceback or a child."""
        self.process.join(at_this_load(SECONDS))
        if self.process.is_alive():
            os.kill(self.process.pid, signal.SIGUSR1)
            time.sleep(1)
            raise AssertionError(f"it goes on: {self.told.read_text()}")
        text = self.told.read_text()
        assert "Traceback" not in text
        end = time.monotonic() + at_this_load(3)
        while self.alive() and time.monotonic() < end:
            time.sleep(0.05)
        assert not self.alive()
        return self.process.exitcode, text

    def alive(self):
        """Whether a process of its group is alive."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 0)
            return True
        return False


@pytest.fixture
def start(tmp_path):
    started = []

    def make(work):
        started.append(Started(tmp_path, work))
        return started[-1]

    yield make
    for one in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.join(60)


def typed(folder, *more, env="CartPole-v1", total=LONG):
    usual = ("--total-steps", str(total), "--num-envs", "4", "--hidden", "8", "--log-every", "200", "--quiet")
    return ["train", "a2c", env, "--run-dir", str(folder / "r"), *usual, *more]


def check_ended(folder, number, code, text):
    """The run has ended in order: code, words, agent, checkpoint, summary."""
    assert code == CODES[number], text
    first, second = text.splitlines()
    summary = json.loads((folder / "r" / "summary.json").read_text())
    step = summary["total_steps"]
    assert first.startswith(f"{WORDS[number]}: at step {step:,}; the agent is saved in {folder / 'r' / 'agent'}; ")
    assert second == f"next     pg-agents resume {folder / 'r'}"
    assert summary["cut_off"] == signal.Signals(number).name and summary["not_written"] == []
    agent, (checkpoint, wrong) = pg.load(folder / "r" / "agent"), newest_good(folder / "r" / "checkpoints")
    assert not wrong and first.endswith(f"; the newest checkpoint is of step {checkpoint.steps:,}")
    assert not [name for name in os.listdir(folder / "r") if "tmp" in name]
    return agent, checkpoint, step


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
@pytest.mark.parametrize("instant", [0, 1, *(pytest.param(i, marks=pytest.mark.slow) for i in range(2, 20))])
def test_a_signal_ends_a_run_in_order_with_a_checkpoint_of_its_last_step(
    start, tmp_path, number, instant, record_property
):
    run = start(lambda: main(typed(tmp_path)))
    run.wait_for(tmp_path / "r" / "metrics.jsonl")
    time.sleep(np.random.default_rng(instant).uniform(0, 0.5))
    run.send(number)
    agent, checkpoint, step = check_ended(tmp_path, number, *run.end())
    assert checkpoint.steps == step
    networks = checkpoint.agent.networks
    saved = {name: value for name, value in agent.state_dict().items() if name in networks}
    assert len(saved) > 5 and all(torch.equal(value, networks[name]) for name, value in saved.items())
    record_property(f"instants of {number.name}", 1)


def test_a_run_that_was_ended_goes_on_with_the_same_bits(start, tmp_path, folder):
    for name in ("whole", "ended"):
        (tmp_path / name).mkdir()
    total = 5000
    assert main(typed(tmp_path / "whole", total=total)) == 0
    run = start(lambda: main(typed(tmp_path / "ended", total=total)))
    run.wait_for(tmp_path / "ended" / "r" / "metrics.jsonl")
    run.send(signal.SIGTERM)
    _, _, step = check_ended(tmp_path / "ended", signal.SIGTERM, *run.end())
    assert 0 < step < total
    assert main(["resume", str(tmp_path / "ended" / "r"), "--quiet"]) == 0
    whole, ended = ((tmp_path / name / "r" / "agent" / "agent.safetensors").read_bytes() for name in ("whole", "ended"))
    assert whole == ended


def test_a_signal_that_is_not_heeded_loses_the_agent(start, tmp_path, record_property):
    def work():  # the control arm
        env = Misbehaves()
        pg.train(
            pg.A2C.for_env(env, hidden=(4,)), env, total_steps=LONG, log_every=100, run_dir=tmp_path / "r",
            handle_signals=False, progress=False,
        )  # fmt: skip

    run = start(work)
    run.wait_for(tmp_path / "r" / "metrics.jsonl")
    run.send(signal.SIGTERM)
    run.process.join(at_this_load(SECONDS))
    assert run.process.exitcode == -signal.SIGTERM and not (tmp_path / "r" / "agent").exists()
    record_property("agents lost", 1)


# -- what takes long ---------------------------------------------------------------------------------------------------
class Slow(Misbehaves):
    """Takes a minute for its step after the 200th, and says when it has begun."""

    def __init__(self, mark=None, swallows=False):
        super().__init__()
        self.mark, self.swallows, self.count = mark, swallows, 0

    def step(self, action):
        self.count += 1
        if self.count > 200:
            Path(self.mark).write_text("here")
            try:
                time.sleep(60)
            except BaseException:
                if not self.swallows:
                    raise
                self.swallows = False
        return super().step(action)


gym.register("Slow-v0", entry_point=Slow)


def slow(folder, monkeypatch, *more):
    monkeypatch.setattr(signals, "PATIENCE", 0.3)
    args = ["--env-arg", f"mark={folder / 'mark'}", "--num-envs", "1", *more]
    return lambda: main([*typed(folder, *args, env="Slow-v0")])


@pytest.mark.parametrize("more", [(), ("--async",), ("--env-arg", "swallows=true")], ids=["", "workers", "swallowed"])
def test_a_step_that_takes_too_long_is_left_unfinished(start, tmp_path, monkeypatch, more):
    run = start(slow(tmp_path, monkeypatch, *more))
    run.wait_for(tmp_path / "mark")
    run.send(signal.SIGTERM)
    _, checkpoint, step = check_ended(tmp_path, signal.SIGTERM, *run.end())
    assert checkpoint.steps <= step <= 200


@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_a_second_signal_ends_the_run_at_once(start, tmp_path, monkeypatch, number):
    work = slow(tmp_path, monkeypatch)
    monkeypatch.setattr(signals, "PATIENCE", 60)
    run = start(work)
    run.wait_for(tmp_path / "mark")
    run.send(number, number, pause=0.2)
    begun = time.monotonic()
    code, text = run.end()
    assert time.monotonic() - begun < at_this_load(2) and code == CODES[number] and text == f"{WORDS[number]}\n"
    checkpoint, wrong = newest_good(tmp_path / "r" / "checkpoints")
    assert not wrong and checkpoint.steps >= 0


@pytest.mark.parametrize("count", [2, pytest.param(100, marks=pytest.mark.slow)])
def test_a_second_signal_loses_no_file(start, tmp_path, count, record_property):
    generator = np.random.default_rng(count)
    for attempt in range(count):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        run = start(lambda folder=folder: main(typed(folder, "--eval-every", "50", "--eval-episodes", "1")))
        run.wait_for(folder / "r" / "best" / "agent.json")
        run.send(signal.SIGTERM)
        time.sleep(generator.uniform(0, 0.1))
        run.send(signal.SIGTERM)
        code = run.end()[0]
        assert code == 143 or (code == -signal.SIGTERM and (folder / "r" / "agent").exists())  # after its end in order
        for place in (folder / "r", folder / "r" / "checkpoints"):
            sweep(place)
            assert not [name for name in os.listdir(place) if name.startswith(".pg_agents-")]
        assert pg.load(folder / "r" / "best").name == "a2c" and newest_good(folder / "r" / "checkpoints")[1] == []
        if (folder / "r" / "agent").exists():
            pg.load(folder / "r" / "agent")
    record_property("second signals", count)


@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_workers_end_with_the_run(start, tmp_path, number, group):
    """Also where all processes get the signal, as from a terminal or from systemd."""
    run = start(lambda: main(typed(tmp_path, "--async")))
    run.wait_for(tmp_path / "r" / "metrics.jsonl")
    run.send(number, group=group)
    code, text = run.end()
    assert code == CODES[number] and text.startswith(f"{WORDS[number]}: at step ")
    assert pg.load(tmp_path / "r" / "agent").name == "a2c"


# -- in one's own program ----------------------------------------------------------------------------------------------
def train_until(number, **how):
    """Train; a probe sends this process a signal at the first row of metrics."""
    env = Misbehaves()
    probes = (lambda run: os.kill(os.getpid(), number) if run.steps < 40 else None,)
    how = {"log_every": 20, "progress": False, "probes": probes} | how
    return pg.train(pg.A2C.for_env(env, num_steps=10, hidden=(4,)), env, total_steps=200, **how)


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, pg.Terminated)])
def test_a_run_that_was_ended_raises_and_gives_back_the_handlers(number, raised):
    before = [signal.getsignal(one) for one in CODES]
    with pytest.raises(raised, match=r"at step 2\d$") as error:
        train_until(number)
    assert [signal.getsignal(one) for one in CODES] == before
    assert getattr(error.value, "code", 143) == 143


def test_signals_are_left_alone_where_they_are_ignored_and_in_other_threads():
    before, found = signal.signal(signal.SIGTERM, signal.SIG_IGN), []
    try:
        assert train_until(signal.SIGTERM).total_steps >= 200
    finally:
        signal.signal(signal.SIGTERM, before)

    def look():
        with Signals(True, str) as heeding:
            found.append(heeding.former)

    thread = threading.Thread(target=look)
    thread.start()
    thread.join(60)
    with Signals(False, str) as heeding:
        found.append(heeding.former)
    assert found == [{}, {}]


def test_an_error_after_a_signal_is_its_cause():
    with pytest.raises(pg.Terminated) as error, Signals(True, lambda: "at step 3"):
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("a worker is gone")
    assert str(error.value) == "at step 3" and isinstance(error.value.__cause__, ValueError)
    with pytest.raises(pg.Terminated) as error, Signals(True, str):
        signal.raise_signal(signal.SIGTERM)
        raise Stopping
    assert error.value.__cause__ is None  # what ends a run is no error of its own


def test_what_saves_is_given_its_time(monkeypatch):
    monkeypatch.setattr(signals, "PATIENCE", 0.05)
    with pytest.raises(pg.Terminated), Signals(True, str) as heeding:
        heeding.ends()
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.2)
        saved = True
    assert saved


def test_what_takes_too_long_is_stopped(monkeypatch):
    monkeypatch.setattr(signals, "PATIENCE", 0.05)
    stopped = False
    with pytest.raises(pg.Terminated), Signals(True, str):
        signal.raise_signal(signal.SIGTERM)
        try:
            time.sleep(3)
        except Stopping:
            stopped = True
    assert stopped


def test_what_saves_is_not_stopped_at_the_last_moment():
    with pytest.raises(pg.Terminated), Signals(True, str) as heeding:
        signal.raise_signal(signal.SIGTERM)
        heeding.ends()
        heeding.late = True  # the patience ended just before
        signal.raise_signal(signal.SIGTERM)
        saved = True
    assert saved and not heeding.at_once


def test_a_second_signal_counts_after_the_first_has_stopped_what_took_too_long(monkeypatch):
    monkeypatch.setattr(signals, "PATIENCE", 0.05)
    monkeypatch.setattr(signals, "AGAIN", 30.0)
    with pytest.raises(KeyboardInterrupt), Signals(True, str) as heeding:
        signal.raise_signal(signal.SIGINT)
        with contextlib.suppress(Stopping):
            time.sleep(3)
        signal.raise_signal(signal.SIGINT)
    assert heeding.at_once


def signalled_at(line):
    """End a run by a signal, send another before line `line` of what handles it; return how many lines there are."""
    heard, count = [], 0
    signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))

    def trace(frame, event, argument):
        nonlocal count
        if frame.f_code.co_filename not in (signals.__file__, threading.__file__):
            return None
        if event == "line":
            count += 1
            if count == line:
                signal.raise_signal(signal.SIGTERM)
        return trace

    def in_order():
        with Signals(True, str) as heeding:
            sys.settrace(trace)
            signal.raise_signal(signal.SIGTERM)
            heeding.ends()
            signal.raise_signal(signal.SIGTERM)

    try:
        with pytest.raises(pg.Terminated):
            in_order()
    finally:
        sys.settrace(None)
    return count, len(heard)


def test_a_signal_in_the_middle_of_another_ones_handling_never_waits():
    count, heard = in_a_fork(lambda: signalled_at(0))
    assert count > 15 and heard == 1
    for line in range(1, count + 1):
        assert in_a_fork(lambda line=line: signalled_at(line), seconds=20)[1] >= 1


# -- while it is imported ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("wait", [0.2, 0.6, *(pytest.param(0.1 * n, marks=pytest.mark.slow) for n in range(1, 20))])
@pytest.mark.parametrize("how", ["module", "script"])
def test_ctrl_c_during_imports_is_one_line(tmp_path, wait, how):
    script = tmp_path / "pg-agents"
    script.write_text("import sys\nfrom pg_agents.cli import main\nsys.exit(main())\n")
    program = ["-m", "pg_agents"] if how == "module" else [str(script)]
    path = os.pathsep.join(sys.path)
    heed = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)  # noqa: E731
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", *program, "train", "a2c", "CartPole-v1", "--run-dir", str(tmp_path / "r")],
        stderr=subprocess.PIPE, text=True, preexec_fn=heed, env=os.environ | {"PYTHONPATH": path},
    )  # fmt: skip
    lines = iter(process.stderr.readline, "")
    next(line for line in lines if line.rstrip().endswith("| " + " " * 2 + "pg_agents.at_once") or "at_once" in line)
    time.sleep(wait)
    process.send_signal(signal.SIGINT)
    killer = threading.Timer(60, process.kill)
    killer.start()
    rest = [line for line in lines if not line.startswith("import time:")]
    process.wait(60)
    killer.cancel()
    assert process.returncode == 130 and rest[0].startswith("interrupted") and len(rest) <= 2, rest


test_seeded_bugs = seeded(
    Bug(
        "a long step is waited for",
        Signals._hurry,
        lambda self, number: self.hurrying.release(),
        [test_what_takes_too_long_is_stopped],
    ),
    Bug(
        "handlers stay",
        Signals._restore,
        lambda self: None,
        [(test_a_run_that_was_ended_raises_and_gives_back_the_handlers, "15-Terminated")],
    ),
)
