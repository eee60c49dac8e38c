"""The trackers themselves, without a network: a run, and the same run going on, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # they start the command line, and these packages take seconds to import
BANDIT = "pg/BernoulliBandit-v0"
STEPS = [16, 32, 48, 64, 80, 96]


@pytest.fixture
def sent(tmp_path, monkeypatch):
    """Return a function that trains 64 steps, goes on to 96, and returns what a script then prints."""
    offline = {"WANDB_MODE": "offline", "TRACKIO_DIR": str(tmp_path / "trackio"), "HF_HUB_OFFLINE": "1"}
    offline |= {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}", "NO_PROXY": "*", "HOME": str(tmp_path)}

    def run(*words):
        done = subprocess.run(
            [sys.executable, *words], cwd=tmp_path, env=os.environ | offline, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done

    def go(name, script):
        pytest.importorskip(name)
        command = "-c", "import sys; from pg_agents.cli import main; sys.exit(main(sys.argv[1:]))"
        typed = [
            "train",
            "reinforce",
            BANDIT,
            "--run-dir",
            "r",
            "--num-envs",
            "4",
            "--log-every",
            "16",
            "--track",
            name,
        ]
        first = run(*command, *typed, "--total-steps", "64")
        assert f"tracked  {name}  " in first.stdout and "Traceback" not in first.stderr
        run(*command, "resume", "r", "--total-steps", "96", "--quiet")
        monkeypatch.chdir(tmp_path)
        return run("-c", script, json.loads(Path("r/tracker.json").read_text())[name]).stdout

    return go


def test_wandb_keeps_a_run_in_the_runs_folder(sent):
    sent("wandb", "")
    run_id = json.loads(Path("r/tracker.json").read_text())["wandb"]
    files = sorted(Path("r/wandb").glob(f"offline-run-*-{run_id}/run-{run_id}.wandb"))
    assert len(files) == 2  # of the run, and of the same run going on
    for file in files:
        content = file.read_bytes()
        assert b"rollout/ep_rew_mean" in content and b"summary/ep_rew_mean" in content and BANDIT.encode() in content


def test_mlflow_keeps_a_run_in_a_database(sent):
    script = """
import sys, json
from mlflow import MlflowClient
client, run_id = MlflowClient(), sys.argv[1]
run = client.get_run(run_id)
steps = [one.step for one in client.get_metric_history(run_id, "rollout/ep_rew_mean")]
print(json.dumps([steps, run.info.status, run.info.run_name, run.data.params, run.data.metrics]))
"""
    steps, status, name, params, metrics = json.loads(sent("mlflow", script).splitlines()[-1])
    assert (steps, status, name) == (STEPS, "FINISHED", "r")
    assert params["env"] == BANDIT and params["agent"] == "reinforce"
    assert metrics["summary/total_steps"] == 96 and "summary/ep_rew_mean" in metrics


def test_trackio_keeps_a_run_on_this_machine(sent):
    script = """
import sys, json
from trackio.sqlite_storage import SQLiteStorage
rows = SQLiteStorage.get_logs("pg-agents", sys.argv[1])
print(json.dumps(rows, default=str))
"""
    rows = json.loads(sent("trackio", script).splitlines()[-1])
    assert [row["step"] for row in rows if "rollout/ep_rew_mean" in row] == STEPS
    assert [row["summary/total_steps"] for row in rows if "summary/total_steps" in row] == [64, 96]
