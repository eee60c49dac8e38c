"""Trackers get what the run's folder gets, go on with a run that goes on, and never end one."""

import json
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from support.fake_trackers import TRACKERS, install

import pg_agents as pg
from pg_agents.cli import main
from pg_agents.training.trackers import tracking
from pg_agents.training.trackers.tracking import KEPT, check_tracker

BANDIT = "pg/BernoulliBandit-v0"


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME", "TRACKIO_PROJECT"):
        monkeypatch.delenv(name, raising=False)


def train(name, run_dir="runs/one", total_steps=64, agent=None, **more):
    agent = pg.Reinforce.for_env(BANDIT, num_envs=4, learning_rate=0.5) if agent is None else agent
    how = {"num_envs": 4, "log_every": 16, "progress": False, "checkpoint_every": 16, "total_steps": total_steps}
    return pg.train(agent, BANDIT, run_dir=run_dir, track=name, **(how | more))


def rows(run_dir="runs/one"):
    return [json.loads(line) for line in (Path(run_dir) / "metrics.jsonl").read_text().splitlines()]


def numbers(row):
    return {name: value for name, value in row.items() if name not in ("step", "time") and type(value) is float}


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_gets_the_configuration_every_row_and_the_results(name, monkeypatch, capsys):
    told = install(monkeypatch, name)
    summary = train(name, eval_env=BANDIT, eval_every=32, eval_episodes=2)
    (run,) = told.runs.values()
    written = [row for row in rows() if numbers(row)]
    assert run.rows == [(row["step"], numbers(row)) for row in written]
    assert [step for step, _ in run.rows] == [0, 16, 32, 48, 64] and "eval/ep_rew_mean" in run.rows[0][1]
    assert (run.name, run.group, run.failed) == ("one", None, False)
    assert run.results["summary/ep_rew_mean"] == summary.mean_return_last_100
    assert run.results["summary/total_steps"] == 64 and "summary/stopped" not in run.results
    assert run.config["env"] == BANDIT and float(run.config.get("learning_rate", 0.5)) == 0.5
    assert (name == "mlflow") == ("learning_rate" in run.config)  # flat there, elsewhere as in config.json
    assert json.loads(Path("runs/one/config.json").read_text())["track"] == name
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", TRACKERS)
def test_a_run_that_goes_on_goes_on_at_the_tracker_and_no_row_is_sent_twice(name, monkeypatch):
    told = install(monkeypatch, name)

    def dies(run):
        if run.steps == 48:
            raise RuntimeError("the probe is broken")

    with pytest.raises(RuntimeError, match="the probe is broken"):
        train(name, checkpoint_every=32, probes=[dies])
    (run,) = told.runs.values()
    assert run.failed and "the probe is broken" in run.results["summary/cut_off"]
    train(name, resume=True)
    assert len(told.runs) == 1 and [step for step, _ in run.rows] == [16, 32, 48, 64]
    assert run.failed is False
    train(name, "runs/two")
    assert [run.name for run in told.runs.values()] == ["one", "two"]


def test_rows_that_were_sent_before_the_checkpoint_that_a_run_goes_on_from_are_not_sent_again(monkeypatch):
    told = install(monkeypatch, "wandb")
    train("wandb", checkpoint_every=10**6, total_steps=48, keep_checkpoints=9)
    Path("runs/one/summary.json").unlink()
    for checkpoint in Path("runs/one/checkpoints").iterdir():  # as if it had been killed before the last one
        if "48" in checkpoint.name:
            shutil.rmtree(checkpoint)
    train("wandb", resume=True)
    (run,) = told.runs.values()
    assert [step for step, _ in run.rows] == [16, 32, 48, 64]
    assert [row["step"] for row in rows()] == [16, 32, 48, 64]


@pytest.mark.parametrize("name", TRACKERS)
def test_a_tracker_that_fails_never_ends_the_run_and_warns_once(name, monkeypatch):
    told = install(monkeypatch, name)

    def breaks(run):
        told.broken = run.steps >= 32

    with pytest.warns(RuntimeWarning, match=f"track: {name} has failed .*nobody answers.*the run goes on") as warned:
        summary = train(name, probes=[breaks])
    assert len(warned) == 1 and summary.total_steps == 64 and not summary.not_written
    (run,) = told.runs.values()
    assert [step for step, _ in run.rows] == [16] and len(rows()) == 4


def test_a_tracker_that_cannot_begin_ends_the_run_before_it_has_begun(monkeypatch):
    told = install(monkeypatch, "wandb")
    told.broken = True
    with pytest.raises(pg.UserError, match="^track: wandb cannot begin a run .*nobody answers.*WANDB_MODE=offline"):
        train("wandb")
    assert not Path("runs/one").exists()


@pytest.mark.parametrize("name", TRACKERS)
def test_a_package_that_is_missing_is_named_with_the_line_that_installs_it(name, monkeypatch):
    monkeypatch.delitem(sys.modules, name, raising=False)
    Path(name).mkdir()  # such a folder wandb makes, which is no package
    monkeypatch.setattr(sys, "path", [str(Path.cwd())])
    line = f"track: {name} is not installed: " + rf'pip install -c constraints\.txt -e "\.\[{name}\]"'
    with pytest.raises(pg.UserError, match=f"^{line}$"):
        train(name)
    assert not Path("runs").exists()


def test_bad_arguments_are_named():
    with pytest.raises(pg.UserError, match=r"^track: there is no tracker 'wandbb'; did you mean wandb\?$"):
        check_tracker("wandbb")
    with pytest.raises(pg.UserError, match=r"^track: there is no tracker 3; known: wandb, mlflow, trackio$"):
        check_tracker(3)
    with pytest.raises(pg.UserError, match="^track: 'wandb' gets what is written to the run's folder; give run_dir"):
        train("wandb", run_dir=None)


def test_seeds_of_a_batch_are_one_run_and_a_seed_of_its_own_belongs_to_a_group(monkeypatch):
    told = install(monkeypatch, "trackio")
    agent = pg.Reinforce.for_env(BANDIT, num_envs=4, seeds=[3, 5])
    train("trackio", total_steps=128, agent=agent)
    (run,) = told.runs.values()
    assert (
        run.name == "one" and {"summary/ep_rew_iqm", "summary/ep_rew_low", "summary/ep_rew_high"} <= run.results.keys()
    )
    train("trackio", "runs/apart/seed-5")
    assert [(run.name, run.group) for run in told.runs.values()][1:] == [("apart/seed-5", "apart")]


def test_a_damaged_note_of_ids_is_no_note(monkeypatch, tmp_path):
    for text in ("[", "[]", '{"wandb": 3}', "[" * 10**5):
        (tmp_path / KEPT).write_text(text)
        assert tracking.Tracking("wandb", tmp_path).before is None


def test_what_is_no_finite_number_is_not_sent(monkeypatch):
    told = install(monkeypatch, "wandb")
    values = {"text": "a", "nan": float("nan"), "inf": float("inf"), "picture": np.zeros((2, 2, 3))}
    with warnings.catch_warnings(action="error"):
        train("wandb", total_steps=16, probes=[lambda run: {**values, "fine": 1.0}])
    (run,) = told.runs.values()
    assert run.rows[0][1]["fine"] == 1.0 and not values.keys() & run.rows[0][1].keys()


def test_the_command_line_sends_a_run_and_goes_on_with_it(monkeypatch, capsys):
    told = install(monkeypatch, "trackio")
    typed = ["train", "reinforce", BANDIT, "--run-dir", "r", "--num-envs", "4", "--total-steps"]
    assert main([*typed, "64", "--track", "trackio"]) == 0
    assert "tracked  trackio  run r; trackio show --project pg-agents shows it\n" in capsys.readouterr().out
    assert main(["resume", "r", "--total-steps", "96", "--quiet"]) == 0
    (run,) = told.runs.values()
    steps = [step for step, _ in run.rows]
    assert steps == sorted(set(steps)) and steps[-1] == 96 and told.calls == ["r", "r"]
    monkeypatch.delitem(sys.modules, "trackio")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["evaluate", "r", "--episodes", "2"]) == 0  # needs no tracker
    assert main([*typed, "64", "--track", "trackio"]) == 2
    assert "error: --track: trackio is not installed: pip install -c constraints.txt" in capsys.readouterr().err
