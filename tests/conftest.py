"""What holds for every test: the pg/… ids are known, torch computes on one thread, slow tests wait to be asked for,
none waits for the disk, and none for ever."""

import faulthandler
import os
import signal
import subprocess
import sys
import threading

import pytest
import torch

import pg_agents  # noqa: F401 - makes the pg/… ids known

os.environ["TRANSFORMERS_VERBOSITY"] = "error"  # read when transformers is imported
os.fsync = lambda descriptor: None  # tests kill processes, not the machine: waiting for the disk was most of their time
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in a shell's background
    signal.signal(signal.SIGINT, signal.default_int_handler)
torch.set_num_threads(1)  # a worker a core, and sums in the same order everywhere
SECONDS = 900  # for a test: a process that takes longer says where it stands and ends, as crashed tests do
ERRORS = pytest.StashKey()


def pytest_addoption(parser):
    parser.addoption("--everything", action="store_true", help="run the tests that are marked slow, too")


def pytest_configure(config):
    """Leave out what is slow, unless everything is asked for, a mark is, or a file or a test is named."""
    config.stash[ERRORS] = open(os.dup(2), "w")  # noqa: SIM115 - of the process: a test's own is captured
    named = any(".py" in argument for argument in config.args)
    if not (config.option.everything or config.option.markexpr or named):
        config.option.markexpr = "not slow"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    watch = threading.Timer(SECONDS, end_the_process, [item.config.stash[ERRORS]])  # faulthandler's own hangs in forks
    watch.daemon = True
    watch.start()
    try:
        return (yield)
    finally:
        watch.cancel()


def pytest_runtest_setup(item):
    torch.set_num_threads(1)  # whatever a test before it has chosen, in this process


def end_the_process(file):
    faulthandler.dump_traceback(file)
    os._exit(1)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of its own, in which the test stands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def start():
    """Start `python -m pg_agents …` as a process that heeds Ctrl-C and does not outlive the test."""
    processes = []

    def started(*argv, **options):
        program = [sys.executable, "-m", "pg_agents", *argv]
        heed = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - a shell's background ignores it
        processes.append(subprocess.Popen(program, stderr=subprocess.PIPE, text=True, preexec_fn=heed, **options))
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.wait(10)
