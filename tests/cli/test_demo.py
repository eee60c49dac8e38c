"""The demo, scaled down: every agent in every task, a true table, runs that can be looked at."""

import json
import os
import signal
import subprocess
import time
from dataclasses import replace

import pytest
from support.agents import EPISODIC_AGENTS

from pg_agents.cli import main
from pg_agents.cli.demo import MEANS, TASKS, Row, Task, demo, random_return, table
from pg_agents.errors import UserError

QUICK = (
    Task("pg/BernoulliBandit-v0", 16, 3_000, 2_000, {"probabilities": (0.1, 0.9)}),
    Task("pg/Shorter-v0", 32, 3_000, 20, {"length": 1, "symbols": 1, "max_new_tokens": 2}),
)
# At most 0.9 ± 4 · √(0.9 · 0.1 / 2000) for the bandit; a text is worth 1 − n/2.
REACHED = {"pg/BernoulliBandit-v0": (0.873, 0.927), "pg/Shorter-v0": (1.0, 1.0)}


def assert_shown(rows, out, root):
    """The table and the folders are those of these rows, one of each agent in each task."""
    out = out.partition("seconds\n")[2]  # what stands below the table's head
    assert [(row.env, row.agent) for row in rows] == [(task.env, name) for task in QUICK for name in EPISODIC_AGENTS]
    for row in rows:
        assert row.optimum == {"pg/BernoulliBandit-v0": 0.9, "pg/Shorter-v0": 1.0}[row.env]
        assert row.seconds > 0
        line = next(line for line in out.splitlines() if line.startswith(f"{row.agent} ") and f" {row.env} " in line)
        cells = line.split()[-4:]
        assert cells == [f"{row.random:.3g}", f"{row.learned:.3g}", f"{row.optimum:.3g}", f"{row.seconds:.1f}"]
    assert rows[0].random == pytest.approx(0.5)
    (folder,) = root.iterdir()
    assert folder.name.startswith("demo-") and f"tensorboard --logdir {folder}" in out
    assert len(list(folder.iterdir())) == len(rows) == len(EPISODIC_AGENTS) * 2
    for run_dir in folder.iterdir():
        assert list(run_dir.glob("events.out.*")) and (run_dir / "agent").is_dir()


def steps_of(root):
    return [json.loads(path.read_text())["total_steps"] for path in root.glob("*/*/summary.json")]


def test_there_is_a_run_of_every_agent_in_every_task_and_the_table_says_what_came_of_it(tmp_path, capsys):
    few = tuple(replace(task, episodes=20) for task in QUICK)
    rows = demo(tmp_path / "runs", processes=1, tasks=few, scale=0.01)
    assert_shown(rows, capsys.readouterr().out, tmp_path / "runs")
    assert len(steps_of(tmp_path / "runs")) == len(rows)


@pytest.mark.slow
def test_every_agent_learns_every_task_in_two_processes(tmp_path, capsys):
    rows = demo(tmp_path / "runs", processes=2, tasks=QUICK)
    assert_shown(rows, capsys.readouterr().out, tmp_path / "runs")
    for row in rows:
        low, high = REACHED[row.env]
        assert low <= row.learned <= high
    assert min(steps_of(tmp_path / "runs")) >= 3000
    (run_dir,) = (tmp_path / "runs").glob("*/reinforce-pg-Shorter-v0")
    assert main(["evaluate", str(run_dir), "--episodes", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean_return"] == 1.0


def test_the_tasks_are_one_of_each_kind():
    kinds = ["pg/Reverse-v0", "CartPole-v1", "pg/GridWorld-v0", "pg/GaussianBandit-v0"]
    assert [task.env for task in TASKS if not task.continuing] == kinds
    assert len(MEANS) == 10 and sorted(MEANS)[-1] - sorted(MEANS)[-2] > 0.2


def test_tables():
    rows = [Row("reinforce", "X-v0", 1.0, 22.0, None, 3.14), Row("actor-critic", "Longer-v0", -1.5, 500.0, 500.0, 12.0)]
    assert table(rows).splitlines() == [
        "agent         environment  random  learned  optimum  seconds",
        "reinforce     X-v0              1       22        –      3.1",
        "actor-critic  Longer-v0      -1.5      500      500     12.0",
    ]


def test_random_returns_are_measured_where_they_are_not_known():
    # CartPole under random actions lasts 22.2 steps on average, with a standard deviation of 11.7.
    assert abs(random_return(TASKS[1], episodes=400) - 22.2) < 4 * 11.7 / 400**0.5


def test_arguments_out_of_range_are_refused(tmp_path):
    for arguments, message in (
        ({"scale": 0.0}, "scale must be a number above 0, got 0"),
        ({"scale": float("nan")}, "scale must be a number above 0, got nan"),
        ({"processes": 0}, "processes must be a number above 0, got 0"),
        ({"seed": -1}, "seed must be a whole number, 0 or above, got -1"),
    ):
        with pytest.raises(UserError, match=message):
            demo(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_ctrl_c_stops_both_processes_and_saves_their_agents(tmp_path, start):
    argv = ["demo", "--scale", "100", "--root", str(tmp_path)]
    process = start(*argv, stdout=subprocess.PIPE, start_new_session=True, cwd=tmp_path)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("*/*/metrics.jsonl"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: every process of the group gets it
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.splitlines()[-1] == "interrupted"
    assert "Traceback" not in err
    started, saved = list(tmp_path.glob("*/*")), list(tmp_path.glob("*/*/agent/agent.json"))
    assert len(started) == len(saved) == 2  # no other was begun
