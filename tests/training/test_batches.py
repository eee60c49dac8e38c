"""Batches of a folder of seeds: their learners' folders stand beside theirs."""

import json
from pathlib import Path

import pytest

import pg_agents as pg
from pg_agents.training.batches import are_batches, batches_in, place_of_learners, run_with


def folder_of_batches(folder, batches):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"batches": batches}))
    return folder


def trained(run_dir, seeds, steps=320, **how):
    agent = pg.A2C.for_env("pg/CartPole-v1", num_envs=2, num_steps=8, hidden=(8,), seeds=seeds)
    how = {"num_envs": 2, "progress": False, "log_every": 64} | how
    return pg.train(agent, "pg/CartPole-v1", total_steps=steps, run_dir=run_dir, **how)


def test_the_folders_of_a_batchs_learners_stand_beside_it_and_those_of_other_runs_in_them(folder):
    folder_of_batches(folder / "r", [[0, 1], [4, 5]])
    for name, seeds in {"batch-4": [4, 5], "batch-7": [7, 8]}.items():
        trained(folder / "r" / name, seeds)
    assert {path.name for path in (folder / "r").iterdir()} == {"config.json", "batch-4", "batch-7", "seed-4", "seed-5"}
    assert (folder / "r/batch-7/seed-8/metrics.jsonl").is_file() and (folder / "r/seed-5/metrics.jsonl").is_file()


def test_a_batch_goes_on_with_its_learners(folder):
    batch = folder_of_batches(folder / "r", [[4, 5]]) / "batch-4"
    trained(batch, [4, 5])
    before = (folder / "r/seed-5/metrics.jsonl").read_text()
    summary = trained(batch, [4, 5], 640, resume=True)
    assert list(summary.resumed_from.values()) == ["exactly"]
    after = (folder / "r/seed-5/metrics.jsonl").read_text()
    assert after.startswith(before) and len(after) > len(before)


def test_one_of_a_batch_goes_on_alone_and_the_batch_leaves_its_folder_alone(folder, capsys):
    batch = folder_of_batches(folder / "r", [[4, 5]]) / "batch-4"
    trained(batch, [4, 5])
    agent = pg.A2C.for_env("pg/CartPole-v1", num_envs=2, num_steps=8, hidden=(8,), seed=5)
    how = {"num_envs": 2, "seed": 5, "progress": False, "resume": True}
    summary = pg.train(agent, "pg/CartPole-v1", total_steps=320, run_dir=folder / "r/seed-5", **how)
    assert list(summary.resumed_from.items()) == [(160, "exactly")] and summary.total_steps == 320
    before = (folder / "r/seed-5/metrics.jsonl").read_bytes()
    trained(batch, [4, 5], 640, resume=True, progress=True)
    assert "learners seed-5 went on alone" in capsys.readouterr().out
    assert (folder / "r/seed-5/metrics.jsonl").read_bytes() == before


def test_the_folder_may_be_the_one_in_which_one_stands(folder, monkeypatch):
    folder_of_batches(folder, [[0, 1]])
    assert place_of_learners(Path("batch-0")) == folder.resolve()
    assert run_with(folder, 1) == folder / "batch-0" and run_with(folder, 2) == folder


@pytest.mark.parametrize(
    "found", [None, 3, [3], [[0]], [[0, "1"]], [[0, -1]], [[0, True]], [[0, 1], [1, 2]], {"0": [0, 1]}]
)
def test_what_is_no_batches_is_none(found, folder):
    assert not are_batches(found)
    folder_of_batches(folder, found)
    assert batches_in(folder) == [] and place_of_learners(folder / "batch-0") == folder / "batch-0"


@pytest.mark.parametrize("text", ["[]", "{", "3", ""])
def test_a_damaged_file_says_of_none(text, folder):
    (folder / "config.json").write_text(text)
    assert batches_in(folder) == [] and batches_in(folder / "missing") == []
