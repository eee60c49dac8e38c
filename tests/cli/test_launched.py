"""Commands that a launcher has started in several processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from support.names import ROOT
from support.ranks import on_ranks

from pg_agents.cli.command import main
from pg_agents.cli.launched import folder_of_ranks, rank, speaks
from pg_agents.errors import FaultyEnvironmentError, Terminated, UserError

TRAIN = ["train", "ppo", "pg/CartPole-v1", "--num-envs", "4", "--num-steps", "32"]


QUICK = """
import sys
from pg_agents.cli import main
from pg_agents.training import heartbeat

heartbeat.SILENT = 10.0
sys.exit(main())
"""


def launched(folder, *typed, count=2, restarts=0, program=("-m", "pg_agents")):
    """Start a command in several processes; return the launcher."""
    paths = os.pathsep.join(map(str, (ROOT, ROOT / "envs")))
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    how = ["--standalone", "--nproc-per-node", str(count), "--max-restarts", str(restarts), "--monitor-interval", "0.2"]
    command = [sys.executable, "-m", "torch.distributed.run", *how, *program, *typed]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, env=env, text=True, **pipes)


def children(pid):
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def kill_one(launcher, folder, number=signal.SIGKILL):
    """Kill the second process once there is a checkpoint of something learned; or send it another signal."""
    end = time.monotonic() + 300
    while len([*folder.glob("checkpoints/step-*")]) < 2 and time.monotonic() < end and launcher.poll() is None:
        time.sleep(0.1)
    second = children(launcher.pid)[1]
    os.kill(second, number)
    return second


@pytest.mark.slow
def test_a_killed_process_ends_all_and_the_line_that_resumes_is_said(tmp_path):
    launcher = launched(tmp_path, *TRAIN, "--total-steps", "10000000", "--run-dir", "r", "--checkpoint-every", "500")
    kill_one(launcher, tmp_path / "r")
    out, err = launcher.communicate(timeout=300)
    assert launcher.returncode == 1 and "pg-agents resume r" in err, err
    assert "rank 0: another one has ended" in err or "terminated: at step" in err, err


@pytest.mark.slow
def test_a_process_that_hangs_ends_all_and_the_line_that_resumes_is_said(tmp_path):
    (tmp_path / "quick.py").write_text(QUICK)
    typed = [*TRAIN, "--total-steps", "10000000", "--run-dir", "r", "--checkpoint-every", "500"]
    launcher = launched(tmp_path, *typed, program=["quick.py"])
    hangs = kill_one(launcher, tmp_path / "r", signal.SIGSTOP)
    try:
        out, err = launcher.communicate(timeout=300)  # torchrun waits 30 s for it; the group would wait for 30 minutes
    finally:
        launcher.terminate()
        with suppress(ProcessLookupError):
            os.kill(hangs, signal.SIGKILL)
    assert launcher.returncode == 1 and "has not answered for 10 seconds: stopped, or out of reach; the run ends" in err
    assert "does not answer\nnext     pg-agents resume r\n" in err, err
    assert (tmp_path / "r/agent").is_dir()  # in order


@pytest.mark.slow
def test_processes_that_are_started_again_go_on_by_themselves(tmp_path):
    typed = [*TRAIN, "--total-steps", "10000", "--run-dir", "r", "--checkpoint-every", "500"]
    launcher = launched(tmp_path, *typed, restarts=1)
    kill_one(launcher, tmp_path / "r")
    out, err = launcher.communicate(timeout=800)
    assert launcher.returncode == 0, err
    assert out.count("next     pg-agents evaluate r") == 1  # one of them prints the results
    summary = json.loads((tmp_path / "r/summary.json").read_text())
    assert summary["total_steps"] >= 10_000 and list(summary["resumed_from"].values()) == ["exactly"]


@pytest.mark.slow
def test_bad_input_is_one_sentence_of_the_first(tmp_path):
    launcher = launched(tmp_path, "train", "ppo", "Nowhere-v0")
    _, err = launcher.communicate(timeout=300)
    assert err.count("error: ENV") == 1 and "exitcode  : 2" in err, err


@pytest.fixture
def of_three(monkeypatch):
    """This process is the third of three that were launched."""
    for name, value in {"MASTER_ADDR": "localhost", "WORLD_SIZE": "3", "RANK": "2"}.items():
        monkeypatch.setenv(name, value)


def test_a_process_that_was_not_launched_is_the_first(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")  # of a queue's job, say
    monkeypatch.setenv("RANK", "2")
    assert rank() == 0 and speaks(UserError(""))


def test_a_port_in_use_is_one_sentence(monkeypatch, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for name, value in {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
            monkeypatch.setenv(name, str(value))
        assert main(["train", "a2c", "CartPole-v1", "--total-steps", "10"]) == 2
    assert capsys.readouterr().err == (
        f"error: --master-port: {port} is in use on this machine; give another, or --standalone\n"
    )


def test_another_than_the_first_reports_what_it_alone_met(of_three):
    assert rank() == 2 and not speaks(UserError("")) and speaks(FaultyEnvironmentError(""))
    while_it_learned = ValueError("max_episode_steps: …")
    while_it_learned.ended_rank = 2
    assert speaks(while_it_learned)


@pytest.mark.parametrize(("end", "code"), [(KeyboardInterrupt("at step 7"), 130), (Terminated("at step 7"), 143)])
def test_the_end_by_a_signal_is_said_by_the_first(end, code, of_three, monkeypatch, capsys):
    def ended(typed):
        raise end

    monkeypatch.setattr("pg_agents.cli.command.parse", ended)
    assert main(["list"]) == code and capsys.readouterr().err == ""
    monkeypatch.setenv("RANK", "0")
    assert main(["list"]) == code and "at step 7" in capsys.readouterr().err


def test_bad_input_is_said_once_on_each_machine(of_three, monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "0")
    assert rank() == 2 and speaks(UserError(""))


@pytest.mark.parametrize("typed", [["list"], ["train", "ppo", "CartPole-v1", "--seeds", "3", "--jobs", "2"]])
def test_what_several_processes_cannot_do_together_is_refused(typed, of_three, monkeypatch, capsys):
    assert main(typed) == 2 and capsys.readouterr().err == ""
    monkeypatch.setenv("RANK", "0")
    assert main(typed) == 2
    assert "3 processes" in capsys.readouterr().err


def test_all_have_the_folder_that_the_first_has_made(folder):
    def name(of):
        with folder_of_ranks(of, None, "name") as (path, again):
            assert not again
            return path

    first, second = on_ranks(2, name)
    assert first == second and first.parent.name == "runs"


def test_processes_that_are_started_again_go_on_with_the_run_that_is_there(folder, monkeypatch):
    (folder / "r/checkpoints").mkdir(parents=True)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    with folder_of_ranks(None, folder / "r", "name") as found:
        assert found == (folder / "r", True)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    for message in on_ranks(2, lambda of: refused(of, folder / "r")):
        assert message.endswith("r exists and is not an empty folder; give a new one")


def refused(of, path):
    with pytest.raises(ValueError) as error, folder_of_ranks(of, path, "name"):
        raise AssertionError
    return str(error.value)


def test_seeds_and_a_model_are_not_shared_out_at_once(capsys):
    assert main(["train", "ppo", "CartPole-v1", "--shard", "--seeds", "2", "--total-steps", "10"]) == 2
    assert "--shard: with --seeds processes share the seeds out, and each learns alone" in capsys.readouterr().err


def test_a_model_is_not_shared_out_by_one_process(folder, capsys):
    assert main(["train", "ppo", "CartPole-v1", "--shard", "--total-steps", "10", "--run-dir", "r"]) == 2
    assert "--shard: there is one process, and nobody to share with" in capsys.readouterr().err
    assert not (folder / "r").exists()
