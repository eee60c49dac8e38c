"""A run folder: what is in its files, and which folders are taken for one."""

import json
import math
import time

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pg_agents.training.writers import RunWriter, fresh_run_dir


def events_of(run_dir):
    events = EventAccumulator(str(run_dir), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    return events.Reload()


def test_every_kind_of_value_comes_back(tmp_path):
    recorder = RunWriter(tmp_path / "new" / "run")
    recorder.config({"agent": "x", "nested": {"a": [1, 2]}})
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    recorder.write(7, {"a/curve": 1.5, "text": "**hello**", "a/picture": image})
    recorder.write(19, {"a/curve": np.float32(2.5), "a/gap": math.nan})
    recorder.close({"total": 19})
    run_dir = tmp_path / "new" / "run"
    first, second = (json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines())
    assert (first.pop("step"), second.pop("step")) == (7, 19)
    assert 0 <= first.pop("time") <= second.pop("time") < 60
    assert first == {"a/curve": 1.5, "text": "**hello**"} and second == {"a/curve": 2.5, "a/gap": None}
    assert json.loads((run_dir / "config.json").read_text()) == {"agent": "x", "nested": {"a": [1, 2]}}
    assert json.loads((run_dir / "summary.json").read_text()) == {"total": 19}
    events = events_of(run_dir)
    assert [(point.step, point.value) for point in events.Scalars("a/curve")] == [(7, 1.5), (19, 2.5)]
    assert math.isnan(events.Scalars("a/gap")[0].value)
    picture = events.Images("a/picture")[0]
    assert (picture.step, picture.width, picture.height) == (7, 3, 2)
    assert events.Tensors("text/text_summary")[0].tensor_proto.string_val[0] == b"**hello**"


def test_rows_can_be_read_while_the_run_goes_on(tmp_path):
    recorder = RunWriter(tmp_path / "run")
    recorder.write(1, {"x": 1.0})
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text())["x"] == 1.0
    recorder.close({})


def test_folders_that_are_new_or_empty_are_taken_and_others_left_alone(tmp_path):
    (tmp_path / "empty").mkdir()
    RunWriter(tmp_path / "empty").close({})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("keep")
    (tmp_path / "file").write_text("keep")
    for name in ("full", "file"):
        with pytest.raises(ValueError, match=f"run_dir: .*{name} exists and is not an empty folder; give a new one"):
            RunWriter(tmp_path / name)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]
    with pytest.raises(ValueError, match=r"run_dir: .* cannot be made"):
        RunWriter(tmp_path / "file" / "below")


def test_fresh_folders_are_never_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "20250102-030405")
    made = [fresh_run_dir("reinforce-my_module:pg/Chain-v0", tmp_path / "runs") for _ in range(3)]
    stem = "reinforce-my_module-pg-Chain-v0-20250102-030405"
    assert [path.name for path in made] == [stem, f"{stem}-1", f"{stem}-2"]
    assert all(path.parent == tmp_path / "runs" and path.is_dir() for path in made)


def grown(run_dir):
    """Return the position of a run folder, to which another row has been written since, and the bytes there were."""
    writer = RunWriter(run_dir)
    writer.write(1, {"x": 1.0})
    position = writer.position()
    kept = {path.name: path.read_bytes() for path in run_dir.iterdir()}
    writer.write(2, {"x": 2.0})
    writer.close({})
    return position, kept


def test_what_was_written_after_a_position_is_removed_and_event_files_are_replaced(tmp_path):
    position, kept = grown(tmp_path / "run")
    (tmp_path / "run" / "events.out.tfevents.later").write_bytes(b"later")
    (events,) = (tmp_path / "run").glob("events.*0")
    writer = RunWriter(tmp_path / "run", resume=True)
    with events.open("rb") as reader:
        whole = events.stat().st_size
        writer.go_back(position)
        assert len(reader.read()) == whole > events.stat().st_size
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == kept
    writer.write(3, {"x": 3.0})
    writer.close({})
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 3]


def test_a_disk_that_is_full_while_a_run_goes_back_is_one_sentence_and_costs_nothing(tmp_path, monkeypatch):
    position, _ = grown(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()}

    def full(places):
        raise OSError(28, "No space left on device")

    writer = RunWriter(tmp_path / "run", resume=True)
    monkeypatch.setattr("pg_agents.folders.synchronize", full)
    with pytest.raises(ValueError, match=r"run_dir: .*run cannot be made or written to \(No space left on device\)"):
        writer.go_back(position)
    writer.leave()
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_a_position_is_returned_once_the_disk_has_what_it_counts(tmp_path, monkeypatch):
    waited = []
    monkeypatch.setattr("pg_agents.training.writers.synchronize", waited.extend)
    writer = RunWriter(tmp_path / "run")
    writer.write(1, {"x": 1.0})
    position = writer.position()
    writer.close({})
    names = {path.name for path in waited}
    assert names == {*position["bytes"], "run"} and len(names) == 3
