"""Files to which whole records are appended: TensorBoard reads from ours what it reads from its own writer's."""

import os
import time

import numpy as np
import pytest
from support.bugs import Bug, seeded
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from pg_agents.training.appended import Appended, EventFile

PICTURE = np.random.default_rng(0).integers(0, 256, (4, 6, 3), np.uint8)
ROWS = [
    (0, {"config": "```json\n{}\n```"}),
    (7, {"a/curve": 1.5, "a/gap": float("nan"), "a/bound": float("-inf"), "words": "**hello**\nγ"}),
    (2_000_000, {"a/curve": np.float32(1 / 3), "a/picture": PICTURE, "a/whole": 3, "words": ""}),
]


def read(folder):
    """Return all points that TensorBoard finds, as (kind, tag, step, value), and their wall times."""
    found = EventAccumulator(str(folder), size_guidance={kind: 0 for kind in ("scalars", "tensors", "images")}).Reload()
    values = {"scalars": lambda p: str(p.value), "images": lambda p: (p.width, p.height, p.encoded_image_string)}
    values["tensors"] = lambda p: p.tensor_proto.SerializeToString()
    points, times = [], []
    for kind, value in values.items():
        for tag in found.Tags()[kind]:
            for point in getattr(found, kind.capitalize())(tag):
                points.append((kind, tag, point.step, value(point)))
                times.append(point.wall_time)
    return sorted(points), times


def test_tensorboard_reads_the_same_points_from_our_file_as_from_its_own_writers(tmp_path):
    begun = time.time()
    theirs = SummaryWriter(str(tmp_path / "theirs"))
    (tmp_path / "ours").mkdir()
    ours = EventFile(tmp_path / "ours")
    for step, row in ROWS:
        ours.write(step, row)
        for name, value in row.items():
            if isinstance(value, str):
                theirs.add_text(name, value, step)
            elif isinstance(value, np.ndarray):
                theirs.add_image(name, value, step, dataformats="HWC")
            else:
                theirs.add_scalar(name, value, step)
    ours.close()
    theirs.close()
    mine, times = read(tmp_path / "ours")
    expected, _ = read(tmp_path / "theirs")
    assert mine == expected and len(mine) == sum(len(row) for _, row in ROWS)
    assert all(begun <= when <= time.time() for when in times)


def records(folder):
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event

    (path,) = folder.iterdir()
    return [Event.FromString(record) for record in RawEventFileLoader(str(path)).Load()]


def test_a_file_begins_as_its_own_writer_begins_it(tmp_path):
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    EventFile(tmp_path / "ours").close()
    SummaryWriter(str(tmp_path / "theirs")).close()
    (mine,), (its, *_) = records(tmp_path / "ours"), records(tmp_path / "theirs")
    assert mine.file_version == its.file_version and abs(mine.wall_time - its.wall_time) < 60


def test_two_files_of_one_second_have_names_of_their_own_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1e9)
    files = [EventFile(tmp_path) for _ in range(3)]
    names = [os.path.basename(file.file.file.name) for file in files]
    assert sorted(os.listdir(tmp_path)) == sorted(names) and len(set(names)) == 3 and names == sorted(names)
    for file in files:
        file.close()


def test_a_file_that_exists_is_not_begun_anew(tmp_path):
    (tmp_path / "lines").write_text("mine\n")
    with pytest.raises(FileExistsError):
        Appended(tmp_path / "lines")
    file = Appended(tmp_path / "lines", "a")
    file.append(b"more\n")
    file.close()
    assert (tmp_path / "lines").read_text() == "mine\nmore\n"


def test_a_record_that_is_written_in_parts_is_whole(tmp_path):
    """As the system may write fewer bytes than it is given."""

    class Halves:
        def __init__(self, file):
            self.file, self.fileno, self.seek = file, file.fileno, file.seek

        def write(self, record):
            return self.file.write(record[: (len(record) + 1) // 2])

    file = Appended(tmp_path / "lines")
    file.file = Halves(file.file)
    file.append(b"0123456789\n")
    file.append(b"next\n")
    assert (tmp_path / "lines").read_bytes() == b"0123456789\nnext\n"


def test_after_a_record_that_did_not_fit_the_next_one_follows_the_last(tmp_path):
    class Fails:
        def __init__(self, file):
            self.file, self.fileno, self.seek, self.count = file, file.fileno, file.seek, 0

        def write(self, record):
            self.count += 1
            if self.count == 2:
                self.file.write(record[:3])
                raise OSError(28, "No space left on device")
            return self.file.write(record)

    file = Appended(tmp_path / "lines")
    file.file = Fails(file.file)
    file.append(b"first\n")
    with pytest.raises(OSError, match="No space"):
        file.append(b"second\n")
    file.append(b"third\n")
    assert (tmp_path / "lines").read_bytes() == b"first\nthird\n"


test_seeded_bugs = seeded(
    Bug(
        "points have no step",
        EventFile.write,
        lambda self, step, row: self._append(
            *(self.event(wall_time=time.time(), summary=self._shown(*named)) for named in row.items())
        ),
        [test_tensorboard_reads_the_same_points_from_our_file_as_from_its_own_writers],
    ),
)
