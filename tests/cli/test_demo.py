"""The demo, scaled down: every agent in every task, a true table, runs that can be looked at."""

import json
import os
import re
import signal
import subprocess
import time
from dataclasses import replace

import pytest
from support.agents import CONTINUING_AGENTS, EPISODIC_AGENTS

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.cli.demo import SEEDS, Row, demo, learners, random_return, shortfalls, table
from pg_agents.cli.demo_tasks import MEANS, TASKS, Task
from pg_agents.errors import UserError
from pg_agents.statistics import interquartile_mean, interval
from pg_agents.training import progress_lines
from pg_agents.training.tuned import Tuned

QUICK = (
    Task("pg/BernoulliBandit-v0", 2_000, Tuned(16, 1_000, env_args={"probabilities": (0.1, 0.9)})),
    Task(
        "pg/Shorter-v0",
        20,
        Tuned(32, 2_000, env_args={"length": 1, "symbols": 1, "max_new_tokens": 2}),
        {"trpo": Tuned(32, 1_000), "npg": Tuned(32, 1_000)},
    ),
)
# At most 0.9 ± 4 · √(0.9 · 0.1 / n) for the bandit, n of 250 episodes a seed; a text is worth 1 − n/2.
REACHED = {"pg/BernoulliBandit-v0": (0.824, 0.976), "pg/Shorter-v0": (1.0, 1.0)}
BANDIT, TEXTS = QUICK


def stacks(name):
    """Whether the agent says that several learners can be one."""
    try:
        pg.AGENTS[name].for_env("pg/TwoArmedBandit-v0", num_learners=2)
    except ValueError:
        return False
    return True


def count_of(row):
    return SEEDS if row.env == BANDIT.env and stacks(row.agent) else 1


def assert_shown(rows, out, root):
    """The table and the folders are those of these rows, one of each agent in each task."""
    out = out.partition("seconds\n")[2]  # what stands below the table's head
    assert [(row.env, row.agent) for row in rows] == [(task.env, name) for task in QUICK for name in EPISODIC_AGENTS]
    for row in rows:
        assert row.optimum == {"pg/BernoulliBandit-v0": 0.9, "pg/Shorter-v0": 1.0}[row.env]
        assert row.seconds > 0 and len(row.learned) == count_of(row)
        line = next(line for line in out.splitlines() if line.startswith(f"{row.agent} ") and f" {row.env} " in line)
        low, high = interval(row.learned) if count_of(row) > 1 else (None, None)
        between = "–" if low is None else f"{low:.3g} … {high:.3g}"
        returns = f"{row.random:.3g} {interquartile_mean(row.learned):.3g} {between} {row.optimum:.3g}"
        assert line.split()[2:] == [str(count_of(row)), *returns.split(), f"{row.seconds:.1f}"]
    assert rows[0].random == pytest.approx(0.5)
    (folder,) = root.iterdir()
    assert folder.name.startswith("demo-") and f"tensorboard --logdir {folder}" in out
    (expression,) = set(re.findall(r"(?:runFilter|regexInput)=([^#&\n]+)", out))
    runs = [str(path.parent.relative_to(folder)) for path in folder.rglob("events.out.*")]
    together = sorted(path.name for path in folder.iterdir())
    assert sorted(run for run in runs if re.search(expression, run)) == together != sorted(runs)
    assert len(list(folder.iterdir())) == len(rows) == len(EPISODIC_AGENTS) * 2
    for run_dir in folder.iterdir():
        assert list(run_dir.glob("events.out.*")) and (run_dir / "agent").is_dir()


def summaries(root):
    return {path.parent.name: json.loads(path.read_text()) for path in root.glob("*/*/summary.json")}


def test_without_a_terminal_there_are_lines_until_it_is_quiet(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(progress_lines, "FIRST", 0.0)
    quick = replace(BANDIT, episodes=16)
    monkeypatch.setattr("pg_agents.cli.demo.learners", lambda task: {"reinforce": 2, "a2c": 1})
    demo(tmp_path / "runs", processes=1, tasks=(quick,), scale=0.01)
    out = capsys.readouterr().out
    assert re.search(r"^steps \d+ %  finished \d of 2 runs  time \d:\d\d$", out.partition("agent ")[0], re.MULTILINE)
    demo(tmp_path / "quiet", processes=1, tasks=(quick,), scale=0.01, quiet=True)
    out = capsys.readouterr().out
    assert "finished" not in out and "reinforce" in out


def test_there_is_a_run_of_every_agent_in_every_task_and_the_table_says_what_came_of_it(tmp_path, capsys):
    few = tuple(replace(task, episodes=16) for task in QUICK)
    rows = demo(tmp_path / "runs", processes=1, tasks=few, scale=0.01, seed=3)
    assert_shown(rows, capsys.readouterr().out, tmp_path / "runs")
    found = summaries(tmp_path / "runs")
    assert len(found) == len(rows)
    assert found["trpo-pg-BernoulliBandit-v0"]["seed"] == found["ppo-pg-Shorter-v0"]["seed"] == 3
    assert [one["seed"] for one in found["ppo-pg-BernoulliBandit-v0"]["learners"]] == [*range(3, 3 + SEEDS)]


@pytest.mark.slow
def test_every_agent_learns_every_task_in_two_processes(tmp_path, capsys):
    rows = demo(tmp_path / "runs", processes=2, tasks=QUICK)
    out = capsys.readouterr().out
    assert_shown(rows, out, tmp_path / "runs")
    for row in rows:
        low, high = REACHED[row.env]
        assert all(low <= learned <= high for learned in row.learned)
    assert f"{len(rows)} of {len(rows)} are at the optimum" in out
    for run in summaries(tmp_path / "runs").values():
        assert all(one["total_steps"] >= 1_000 for one in run["learners"] or [run])
    (run_dir,) = (tmp_path / "runs").glob("*/reinforce-pg-Shorter-v0")
    assert main(["evaluate", str(run_dir), "--episodes", "5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mean_return"] == 1.0


def test_the_tasks_are_one_of_each_kind():
    kinds = ["pg/CartPole-v1", "pg/Reverse-v0", "pg/GridWorld-v0", "pg/GaussianBandit-v0"]
    assert [task.env for task in TASKS if not task.continuing] == kinds
    assert len(MEANS) == 10 and sorted(MEANS)[-1] - sorted(MEANS)[-2] > 0.2


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.env)
def test_agents_learn_with_several_seeds_where_their_class_and_their_networks_can(task):
    counts = learners(task)
    assert [*counts] == (CONTINUING_AGENTS if task.continuing else EPISODIC_AGENTS)
    assert set(task.own) <= {*counts}
    transformer = task.env == "pg/Reverse-v0"
    assert counts == {name: SEEDS if stacks_in(name, task) and not transformer else 1 for name in counts}


def stacks_in(name, task):
    return True if task.continuing else stacks(name)


def test_tables():
    rows = [
        Row("reinforce", "X-v0", 1.0, (22.0,), None, 3.14),
        Row("actor-critic", "Longer-v0", -1.5, (500.0,) * 8, 500.0, 12.0),
    ]
    assert table(rows).splitlines() == [
        "agent         environment  seeds  random  learned  95 % interval  optimum  seconds",
        "reinforce     X-v0             1       1       22              –        –      3.1",
        "actor-critic  Longer-v0        8    -1.5      500      500 … 500      500     12.0",
    ]


def test_what_is_below_its_optimum_is_said_with_the_reason():
    good, bad = (0.96, 0.96, 0.96, 0.1), (0.94, 0.94, 0.94, 1.0)
    rows = [Row("ppo", "X-v0", 0.0, seeds, 1.0, 1.0) for seeds in (good, bad)]
    rows.append(Row("ppo", "Unknown-v0", 0.0, (2.0,), None, 1.0))
    assert [(row.reached, row.below) for row in rows] == [(True, 1), (False, 3), (True, 0)]
    head = "2 of 3 are at the optimum: at least 95 % of the way there from random returns"
    lines = [f"{how} the optimum: ppo in X-v0; below it {n} of 4 seeds" for how, n in (("at", 1), ("not at", 3))]
    assert shortfalls(rows, 1.0) == [head, *(f"{line}: its steps are few" for line in lines)]
    assert shortfalls(rows, 0.5) == [head, *(f"{line}: it had 0.5 of its steps" for line in lines)]
    assert "it chose a good arm" in shortfalls([replace(rows[1], reason="it chose a good arm")], 1.0)[1]
    assert not Row("ppo", "Unknown-v0", 0.0, (-3.0,), None, 1.0).reached


def test_random_returns_are_measured_where_they_are_not_known():
    # CartPole under random actions lasts 22.2 steps on average, with a standard deviation of 11.7.
    assert abs(random_return(TASKS[0], episodes=400) - 22.2) < 4 * 11.7 / 400**0.5


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
