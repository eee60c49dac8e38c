"""What the command line refuses: one sentence that names argument, value and way out, and exit code 2."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.bugs import Bug, seeded

import pg_agents.cli.command
from pg_agents import AGENTS, load
from pg_agents.cli import command, main
from pg_agents.errors import FaultyEnvironmentError

TRAIN = ["train", "reinforce-baseline", "pg/GridWorld-v0", "--quiet"]


@pytest.fixture(autouse=True)
def modules(folder, monkeypatch):
    """In the folder of every test, two modules that cannot be imported."""
    (folder / "refuses_rows.py").write_text(
        "import numpy as np\nfrom pg_envs import TabularMDP\nTabularMDP([[[0.9]]], np.zeros((1, 1)), [1.0])\n"
    )
    (folder / "needs_another.py").write_text("import a_package_nobody_has\n")
    monkeypatch.syspath_prepend(str(folder))


def refused(capsys, *argv):
    """Return the one line that `argv` is refused with."""
    assert main(list(argv)) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in err and out == ""
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1 and err.rstrip().splitlines()[-1] == lines[0]
    return lines[0]


CARTPOLE = ["train", "reinforce", "CartPole-v1"]


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (["trian"], ["COMMAND", "'trian'", "did you mean train?"]),
        (["train", "reinforse", "CartPole-v1"], ["AGENT", "'reinforse'", "did you mean reinforce?"]),
        (["train", "xyz", "CartPole-v1"], ["AGENT", "'xyz'", f"known: {', '.join(AGENTS)}"]),
        (["train", "--seed", "1", "reinforce"], ["--seed comes before"]),
        (["train", "reinforce", "CartPoole-v1"], ["ENV", "'CartPoole-v1'", "did you mean CartPole-v1"]),
        (["train", "reinforce", "GridWorld-v0"], ["ENV", "did you mean pg/GridWorld-v0"]),
        (["train", "reinforce", "nothing like it"], ["ENV", "'nothing like it'"]),
        (["train", "average-reward", "Pendulum-v1"], ["ENV", "Pendulum-v1", "Box", "needs Discrete actions"]),
        ([*CARTPOLE, "--share-encoder", "True"], ["--share-encoder", "needs a critic"]),
        (["train", "trpo", "CartPole-v1", "--share-encoder", "True"], ["--share-encoder", "trust region"]),
        (["train", "ppo", "pg/Catch-v0", "--normalize-observations"], ["--normalize-observations", "real numbers"]),
        ([*CARTPOLE, "--total-steps", "0"], ["--total-steps", "1 or above", "got 0"]),
        ([*CARTPOLE, "--total-steps", "-5"], ["--total-steps", "1 or above", "got -5"]),
        ([*CARTPOLE, "--num-envs", "0"], ["--num-envs", "1 or above", "got 0"]),
        ([*CARTPOLE, "--num-envs", "-2"], ["--num-envs", "1 or above", "got -2"]),
        ([*CARTPOLE, "--seed", "-1"], ["--seed", "0 or above", "got -1"]),
        ([*CARTPOLE, "--log-every", "0"], ["--log-every", "1 or above", "got 0"]),
        ([*CARTPOLE, "--threads", "0"], ["--threads", "1 or above", "got 0"]),
        ([*CARTPOLE, "--hidden", "64", "0"], ["--hidden", "1 or above", "got 0"]),
        ([*CARTPOLE, "--discount", "1.5"], ["--discount", "between 0 and 1", "got 1.5"]),
        ([*CARTPOLE, "--discount", "-0.1"], ["--discount", "between 0 and 1", "got -0.1"]),
        ([*CARTPOLE, "--learning-rate", "nan"], ["--learning-rate", "finite number above 0", "got nan"]),
        ([*CARTPOLE, "--learning-rate", "inf"], ["--learning-rate", "got inf"]),
        ([*CARTPOLE, "--device", "cuda:99"], ["--device", "'cuda:99'", "not available", "use --device cpu"]),
        ([*CARTPOLE, "--device", "gpu"], ["--device", "'gpu'", "not available", "use --device cpu"]),
        ([*CARTPOLE, "--env-arg", "gravity"], ["--env-arg", "name=value", "'gravity'"]),
        ([*CARTPOLE, "--env-arg", "=3"], ["--env-arg", "name=value", "'=3'"]),
        ([*CARTPOLE, "--env-arg", "a=3", "--env-arg", "a=4"], ["--env-arg", "'a'", "twice"]),
        ([*CARTPOLE, "--env-arg", "gravvity=3"], ["--env-arg", "CartPole-v1", "gravvity=3", "unexpected"]),
        (["train", "reinforce", "pg/Chain-v0", "--env-arg", "sise=3"], ["--env-arg", "sise=3", "unexpected"]),
        (
            ["train", "reinforce", "pg/BernoulliBandit-v0", "--env-arg", "probabilities=(0.5,2)"],
            ["ENV", "0 and 1", "2"],
        ),
        (["train", "reinforce", "no_such_module:X-v0"], ["ENV", "no module 'no_such_module'", "install it"]),
        (["train", "reinforce", "needs_another:X-v0"], ["ENV", "pip install a_package_nobody_has"]),
        (["train", "reinforce", "refuses_rows:X-v0"], ["ENV", "transitions must sum to 1", "0.9"]),
        (["train", "reinforce", "support.broken_envs:HalfARow-v0"], ["ENV", "sum to 1, got 0.9 in state 0, action 0"]),
        (
            ["train", "reinforce", "support.broken_envs:NeedsABox-v0"],
            ["ENV", 'pip install -c constraints.txt -e ".[box2d]"'],
        ),
        (["train", "reinforce", "support.broken_envs:NeedsAModule-v0"], ["pip install a_simulator_nobody_has"]),
        (["train", "ppo", "CartPole-v1", "--eval-episodes", "5"], ["--eval-episodes", "--eval-every"]),
        (["evaluate", "nowhere"], ["PATH", "nowhere holds no run"]),
        (["evaluate", "nowhere", "--episodes", "0"], ["--episodes", "1 or above", "got 0"]),
        (["evaluate", "nowhere", "--episodes", "-3"], ["--episodes", "1 or above", "got -3"]),
        (["evaluate", "nowhere", "--seed", "-3"], ["--seed", "0 or above", "got -3"]),
        (["demo", "--scale", "0"], ["--scale", "above 0", "got 0"]),
    ],
    ids=lambda value: " ".join(value)[-40:] if value and value[0] in ("train", "evaluate", "demo") else None,
)
def test_bad_input_is_one_line_that_names_argument_value_and_way_out(capsys, folder, argv, parts):
    line = refused(capsys, *argv)
    for part in parts:
        assert part in line
    runs = folder / "runs"
    assert not runs.exists() or not any(runs.iterdir())  # nothing was started


def test_a_folder_that_is_in_use_is_left_alone(capsys, folder):
    (folder / "mine").mkdir()
    (folder / "mine" / "notes.txt").write_text("keep")
    line = refused(capsys, *CARTPOLE, "--run-dir", "mine")
    assert line == "error: --run-dir: mine exists and is not an empty folder; give a new one"
    assert [path.name for path in (folder / "mine").iterdir()] == ["notes.txt"]


def test_a_damaged_run_is_named(capsys, folder):
    assert main([*TRAIN, "--total-steps", "8", "--run-dir", "r"]) == 0
    (folder / "r" / "agent" / "agent.safetensors").write_bytes(b"nothing")
    assert refused(capsys, "evaluate", "r").startswith("error: PATH: the agent saved in r/agent is damaged")
    (folder / "r" / "config.json").write_text("{}")
    assert refused(capsys, "evaluate", "r").startswith("error: PATH: r/config.json is damaged")


def test_an_agent_is_not_evaluated_in_an_environment_with_other_spaces(capsys, folder):
    assert main([*TRAIN, "--total-steps", "8", "--run-dir", "r"]) == 0
    config = json.loads((folder / "r" / "config.json").read_text())
    (folder / "r" / "config.json").write_text(json.dumps(config | {"env": "pg/Chain-v0"}))
    line = refused(capsys, "evaluate", "r")
    assert "has n 5 instead of 12" in line


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("nan reward", "reward that is not finite at step"),
        ("long reward", "failed at step"),
        ("nan observation", "observation that is not finite at step"),
        ("long observation", "failed at step"),
        ("reset", "failed at reset"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_environments_that_break_their_contract_are_caught_at_the_step(capsys, folder, fault, said):
    typed = ["--env-arg", f"fault={fault}", "--num-envs", "2", "--quiet", "--run-dir", "r"]
    line = refused(capsys, "train", "actor-critic", "support.broken_envs:Broken-v0", *typed)
    assert "Broken-v0" in line and said in line
    if fault != "reset":
        assert re.search(r"step 32\b", line)  # step 30 of a row, after two steps on which it was reset
        # 31 whole steps of two rows came before it, and at two of them both were reset: 29 · 2 transitions.
        assert json.loads((folder / "r" / "summary.json").read_text())["total_steps"] == 58
        assert all(np.isfinite(weight.numpy(force=True)).all() for weight in load("r/agent").parameters())


# -- what did not finish never exits with 0 ----------------------------------------------------------------------------
QUITS = ["train", "ppo", "support.broken_envs:Quits-v0", "--num-envs", "2", "--total-steps", "600", "--quiet"]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("init", "'support.broken_envs:Quits-v0' cannot be made with where='init': it called sys.exit(0)"),
        ("reset", "Quits-v0 failed at step 11, environment 0, seed"),
        ("step", "Quits-v0 failed at step 5, environment 0, seed"),
        ("close", "sys.exit(0) was called before this command had finished"),
    ],
)
def test_an_environment_that_calls_sys_exit_is_an_error(capsys, where, said):
    line = refused(capsys, *QUITS, "--env-arg", f"where={where}", "--run-dir", "r")
    assert said in line and "sys.exit(0)" in line


def test_an_environment_that_calls_sys_exit_in_an_evaluation_is_an_error(capsys):
    assert main([*QUITS, "--env-arg", "where=nowhere", "--run-dir", "r"]) == 0
    line = refused(capsys, "evaluate", "r", "--env-arg", "where=step", "--trust-run-folder")
    assert "Quits-v0 failed at step 5, environment 0" in line and "sys.exit(0)" in line


def test_a_module_that_calls_sys_exit_when_it_is_imported_is_an_error(capsys, folder):
    (folder / "leaves.py").write_text("raise SystemExit(0)\n")
    assert "sys.exit(0) was called before" in refused(capsys, "train", "ppo", "leaves:Env-v0")


def test_a_broken_pipe_is_an_error_where_standard_output_is_read(monkeypatch, capfd):
    def break_a_pipe(options):
        raise BrokenPipeError("of somebody else")

    monkeypatch.setattr(pg_agents.cli.command, "_do", break_a_pipe)
    with pytest.raises(BrokenPipeError):
        main(["list"])


def test_a_reader_that_has_seen_enough_is_no_error():
    read, write = os.pipe()
    os.close(read)
    found = subprocess.run(
        [sys.executable, "-m", "pg_agents", "list"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert (found.returncode, found.stderr) == (0, b"")


@pytest.mark.slow
@pytest.mark.parametrize("signalled", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_worker_or_an_interrupt_ends_a_run_with_asynchronous_environments(folder, start, signalled):
    """The worker is killed; the interrupt is for the first process alone, whose workers then wait for it."""
    typed = ["--num-envs", "3", "--env-arg", "vectorization_mode=async", "--total-steps", "10000000", "--run-dir", "r"]
    process = start("train", "a2c", "CartPole-v1", *typed, "--log-every", "100", "--quiet")
    metrics, deadline = folder / "r" / "metrics.jsonl", time.monotonic() + 60
    while not (metrics.exists() and metrics.stat().st_size > 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [child for child in children if b"spawn_main" not in Path(f"/proc/{child}/cmdline").read_bytes()]
    os.kill(int(workers[-1]) if signalled == signal.SIGKILL else process.pid, signalled)
    _, err = process.communicate(timeout=60)
    said = {signal.SIGKILL: (2, "environment 2, seed"), signal.SIGINT: (130, "next     pg-agents resume r")}
    code, words = said[signalled]
    assert process.returncode == code and words in err.splitlines()[-1]
    assert not any(Path(f"/proc/{child}").exists() for child in workers)


def test_what_tyro_refuses_exits_with_2(capsys):
    for argv, said in (
        ([*CARTPOLE, "--lerning-rate", "1"], "--learning-rate"),
        ([*CARTPOLE, "--total-steps", "many"], "--total-steps"),
        ([*CARTPOLE, "--signal", "loud"], "whole-return"),
        (["train", "reinforce"], "ENV"),
        (["evaluate"], "PATH"),
    ):
        assert main(argv) == 2
        out, err = capsys.readouterr()
        assert said in err and out == "" and "Traceback" not in err


def test_help_without_a_command_or_an_agent(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == "" and all(word in err for word in ("usage: pg-agents", "list", "train", "evaluate", "demo"))
    assert main(["train"]) == 2
    err = capsys.readouterr().err
    assert all(name in err for name in AGENTS)
    assert main(["--help"]) == 0
    assert "usage: pg-agents" in capsys.readouterr().out


@pytest.mark.parametrize("error", [RuntimeError("ours"), ValueError("math domain error"), KeyError("x")])
def test_mistakes_of_ours_keep_their_traceback(monkeypatch, error):
    def broken(*args, **kwargs):
        raise error

    monkeypatch.setattr(pg_agents.cli.resuming, "train", broken)
    with pytest.raises(type(error)):
        main([*CARTPOLE, "--quiet"])


def test_mistakes_of_an_environments_author_keep_their_traceback():
    with pytest.raises(FaultyEnvironmentError, match="step 30, .*KeyError: .*environment's author") as raised:
        main(["train", "reinforce", "support.broken_envs:Broken-v0", "--env-arg", "fault=bug", "--quiet"])
    assert isinstance(raised.value.__cause__, KeyError)


def test_videos_without_moviepy_name_the_line_that_installs_it(capsys, monkeypatch):
    assert main(["train", "reinforce", "CartPole-v1", "--total-steps", "8", "--run-dir", "r", "--quiet"]) == 0
    monkeypatch.setitem(sys.modules, "moviepy", None)
    assert 'pip install -c constraints.txt -e ".[video]"' in refused(capsys, "evaluate", "r", "--video")


def test_videos_of_an_environment_that_draws_nothing(capsys):
    assert main([*TRAIN, "--total-steps", "8", "--run-dir", "r"]) == 0
    line = refused(capsys, "evaluate", "r", "--video")
    assert line.startswith("error: --video: pg/GridWorld-v0 cannot be drawn")


def finishes_whoever_ends_it(options):
    command._do(options)
    sys.stdout.flush()


test_seeded_bugs = seeded(
    Bug(
        "any pipe that breaks is taken for standard output",
        command.nobody_reads,
        lambda: True,
        [test_a_broken_pipe_is_an_error_where_standard_output_is_read],
    ),
    Bug(
        "whoever calls sys.exit says how the command ends",
        command._finish,
        finishes_whoever_ends_it,
        [test_a_module_that_calls_sys_exit_when_it_is_imported_is_an_error],
    ),
)
