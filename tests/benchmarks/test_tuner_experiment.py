"""The tuner's experiment: settings are looked for once, on other seeds, and learned with on the reported ones."""

from dataclasses import asdict, replace

import pytest

from benchmarks.learning import protocol, tuner
from benchmarks.suite.records import Record
from pg_agents.training.tuned import Tuned


def test_settings_are_looked_for_once_and_used_for_every_seed(monkeypatch):
    calls, cell = [], tuner.CELLS[1]

    def look_for(cell):
        calls.append(cell)
        return Tuned(4, cell.total_steps, {"epochs": 3}), {"trial": 7}

    def run_seeds(cell, seeds):
        assert (cell.num_envs, cell.arguments, cell.total_steps) == (4, {"epochs": 3}, tuner.STEPS)
        return {seed: {"score": float(seed)} for seed in seeds}

    monkeypatch.setattr(tuner, "look_for", look_for)
    monkeypatch.setattr(protocol, "run_seeds", run_seeds)
    assert tuner.run_seeds(cell, [3, 5])[5] == {"score": 5.0, "trial": {"trial": 7}} and calls == [cell]
    assert not set(tuner.TUNING_SEEDS) & set(tuner.SEEDS) and min(tuner.TUNING_SEEDS) >= 100


def test_trials_learn_the_same_task_on_their_own_seeds(monkeypatch):
    asked = []

    def make_space(task, settings):
        asked.append(task)
        raise InterruptedError

    monkeypatch.setattr(tuner, "make_space", make_space)
    cell = replace(tuner.CELLS[1], env_args={"sutton_barto_reward": True}, wrappers=["FlattenObservation"])
    with pytest.raises(InterruptedError):
        tuner.look_for(cell)
    (task,) = asked
    assert (task.agent, task.env, task.env_args) == (cell.agent, cell.env, cell.env_args)
    assert (task.seeds, task.total_steps) == (tuner.TUNING_SEEDS, cell.total_steps)
    assert task.wrappers == ("FlattenObservation",)


def test_tables_live_with_missing_cells():
    tables = tuner.table([])
    assert "from 20 trials" in tables["scores"] and "Stable-Baselines3" in tables["scores"]
    beside = [line for line in tables["comparison"].splitlines() if line.startswith("| Pendulum")]
    assert ["20 trials" in line for line in beside] == [True]
    assert {cell.total_steps for cell in tuner.CELLS} == {tuner.STEPS}


def test_what_trials_have_chosen_is_told():
    def chosen(settings):
        trial = {"trial": 7, "settings": {"num_envs": tuner.NUM_ENVS, "arguments": settings}}
        result = {"score": 1.0, "untrained": 0.0, "known": {"random": None, "optimal": None}, "trial": trial}
        return tuner.table([Record("tuner", asdict(tuner.CELLS[1]), seed, result) for seed in (0, 1)])["chosen"]

    defaults = {"learning_rate": 3e-4, "clip": 0.2}
    assert f"| {tuner.CELLS[1].name} | 7 | none: it kept the defaults |" in chosen(defaults)
    assert chosen(defaults | {"clip": 0.3, "hidden": [8]}).endswith("| 7 | `clip=0.3`, `hidden=[8]` |")
    assert "chosen" not in tuner.table([])


@pytest.mark.slow
def test_a_few_trials_find_settings():
    cell = replace(tuner.CELLS[1], env="pg/BernoulliBandit-v0", total_steps=256, trials=2)
    settings, trial = tuner.look_for(cell)
    assert settings.total_steps == 256 and trial["score"] is not None
