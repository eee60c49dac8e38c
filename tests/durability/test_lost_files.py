"""A run whose folder has lost files beside its checkpoints goes on, and says what is missing."""

import json
import shutil
import warnings
from contextlib import suppress

import pytest
from support.resumed import differences, stopped_after, summary
from support.small_runs import CONTROL, go, go_together

import pg_agents as pg
from pg_agents.cli import main


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lost") / "whole"
    return folder, go(CONTROL, folder)


def agents_part(everything):
    return {name: value for name, value in everything.items() if name not in ("rows", "points", "summary")}


def test_nothing_is_said_where_nothing_is_missing(whole, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        go(CONTROL, stopped_after(whole[0], tmp_path / "again", 4), resume=True)


@pytest.mark.parametrize("kept", [0, 0.6, None])
def test_rows_that_are_missing_are_said_and_the_others_stay_whole(whole, tmp_path, kept):
    place = stopped_after(whole[0], tmp_path / "again", 5)
    lines = place / "metrics.jsonl"
    if kept is None:
        lines.unlink()
    else:
        lines.write_bytes(lines.read_bytes()[: int(lines.stat().st_size * kept)])
    with pytest.warns(
        RuntimeWarning, match=r"before the checkpoint of step \d+ is missing: metrics.jsonl has [\d,]+ of"
    ):
        found = go(CONTROL, place, resume=True)
    for line in lines.read_text().splitlines():
        json.loads(line)
    assert differences(agents_part(found), agents_part(whole[1])) == []


def test_event_files_that_are_missing_are_said(whole, tmp_path):
    place = stopped_after(whole[0], tmp_path / "again", 3)
    for file in place.glob("events.out.tfevents.*"):
        file.unlink()
    with pytest.warns(RuntimeWarning, match=r"is missing: events\.out\.tfevents\S* has 0 of [\d,]+ bytes"):
        go(CONTROL, place, resume=True)


@pytest.fixture(scope="module")
def typed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lost") / "typed"
    line = "train a2c CartPole-v1 --num-envs 4 --hidden 8 --total-steps 400 --checkpoint-every 200 --quiet --run-dir"
    assert main([*line.split(), str(folder)]) == 0
    return folder


@pytest.mark.parametrize("damage", ["missing", "flipped"])
def test_a_run_goes_on_without_the_agent_with_which_it_began(typed, tmp_path, capsys, damage):
    place = tmp_path / "run"
    shutil.copytree(typed, place)
    start = place / "checkpoints" / "start"
    if damage == "missing":
        shutil.rmtree(start)
    else:
        data = bytearray((start / "agent.safetensors").read_bytes())
        data[-1] ^= 1
        (start / "agent.safetensors").write_bytes(data)
    assert main(["resume", str(place), "--total-steps", "800", "--quiet"]) == 0
    told = capsys.readouterr().err
    assert told.startswith("warning: path: ") and str(start) in told and f"as that in {place / 'agent'}" in told
    assert json.loads((place / "summary.json").read_text())["total_steps"] >= 800


def test_the_best_agent_serves_where_there_is_no_other(typed, tmp_path, capsys):
    place = tmp_path / "run"
    shutil.copytree(typed, place)
    (place / "agent").rename(place / "best")
    shutil.rmtree(place / "checkpoints" / "start")
    assert main(["resume", str(place), "--total-steps", "800", "--quiet"]) == 0
    assert f"the agent is made as that in {place / 'best'}" in capsys.readouterr().err


def test_without_any_agent_the_missing_one_is_named(typed, tmp_path, capsys):
    place = tmp_path / "run"
    shutil.copytree(typed, place)
    shutil.rmtree(place / "checkpoints" / "start")
    shutil.rmtree(place / "agent")
    assert main(["resume", str(place), "--total-steps", "800", "--quiet"]) == 2
    assert str(place / "checkpoints" / "start") in capsys.readouterr().err


@pytest.fixture(scope="module")
def learners(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lost") / "whole"
    return folder, go_together(folder)


def test_a_learners_rows_that_are_missing_are_said_and_all_else_is_as_it_was(learners, tmp_path):
    place = stopped_after(learners[0], tmp_path / "again", 5)
    (place / "seed-2" / "metrics.jsonl").unlink()
    with pytest.warns(RuntimeWarning, match=r"of step \d+ is missing: seed-2/metrics.jsonl has 0 of"):
        found = go_together(place, resume=True)
    assert differences(found, learners[1]) == ["2/rows"]
    assert found["2/rows"] == learners[1]["2/rows"][-len(found["2/rows"]) :]


def test_a_learners_folder_that_is_missing_is_made_again(learners, tmp_path):
    place = stopped_after(learners[0], tmp_path / "again", 2)
    shutil.rmtree(place / "seed-2")
    with pytest.warns(RuntimeWarning, match="is missing: seed-2/metrics.jsonl has 0 of"):
        found = go_together(place, resume=True)
    assert {name.split("/")[0] for name in differences(found, learners[1])} <= {"2"}
    assert all(name in found for name in learners[1] if name.startswith("2/agent"))
    assert differences(found["2/summary"], learners[1]["2/summary"]) == []
    config = "seed-2/config.json"
    assert json.loads((place / config).read_text()) == json.loads((learners[0] / config).read_text())


def test_a_learners_folder_that_vanishes_costs_its_rows_and_not_its_agent(tmp_path):
    def vanish(run):
        if 100 < run.steps < 300:
            shutil.rmtree(tmp_path / "run" / "seed-2", ignore_errors=True)

    said = "seed-2/metrics.jsonl cannot be written to .*; the run goes on"
    with pytest.warns(RuntimeWarning, match=said), suppress(FileNotFoundError):  # what is read of it in the end
        go_together(tmp_path / "run", probes=[vanish])
    found = summary(tmp_path / "run")
    assert pg.load(tmp_path / "run" / "seed-2" / "agent").seeds[0] == 0
    lost = ["TensorBoard's event file", "metrics.jsonl"]
    assert found["not_written"] == sorted(f"seed-2/{name}" for name in lost)
    assert [one["not_written"] for one in found["learners"]] == [[], lost]
