"""Files to which whole records are appended: TensorBoard reads from ours what it reads from its own writer's."""

import io
import os
import resource
import time

import numpy as np
import pytest
from support.bugs import Bug, seeded
from support.forks import in_a_fork
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from pg_agents.training import appended
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
    EventFile(tmp_path / "ours")
    SummaryWriter(str(tmp_path / "theirs")).close()
    (mine,), (its, *_) = records(tmp_path / "ours"), records(tmp_path / "theirs")
    assert mine.file_version == its.file_version and abs(mine.wall_time - its.wall_time) < 60


def test_two_files_of_one_second_have_names_of_their_own_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 1e9)
    files = [EventFile(tmp_path) for _ in range(3)]
    names = [file.file.path.name for file in files]
    assert sorted(os.listdir(tmp_path)) == sorted(names) and len(set(names)) == 3 and names == sorted(names)


def test_a_file_that_exists_is_not_begun_anew(tmp_path):
    (tmp_path / "lines").write_text("mine\n")
    with pytest.raises(FileExistsError):
        Appended(tmp_path / "lines")
    file = Appended(tmp_path / "lines", "a")
    file.append(b"more\n")
    assert (tmp_path / "lines").read_text() == "mine\nmore\n"


class Through(io.FileIO):
    """A file each of whose writes `way` changes: a function of the file, the record and how many writes were before."""

    way = None
    count = 0

    def write(self, record):
        Through.count += 1
        return Through.way(super().write, record, Through.count - 1)


@pytest.fixture
def written_through(monkeypatch):
    def through(way):
        monkeypatch.setattr(Through, "count", 0)
        monkeypatch.setattr(Through, "way", staticmethod(way))
        monkeypatch.setattr(appended.io, "FileIO", Through)

    return through


def test_a_record_that_is_written_in_parts_is_whole(tmp_path, written_through):
    """As the system may write fewer bytes than it is given."""
    file = Appended(tmp_path / "lines")
    written_through(lambda write, record, count: write(record[: (len(record) + 1) // 2]))
    file.append(b"0123456789\n")
    file.append(b"next\n")
    assert (tmp_path / "lines").read_bytes() == b"0123456789\nnext\n"


def test_after_a_record_that_did_not_fit_the_next_one_follows_the_last(tmp_path, written_through):
    def fails(write, record, count):
        if count != 1:
            return write(record)
        write(record[:3])
        raise OSError(28, "No space left on device")

    file = Appended(tmp_path / "lines")
    written_through(fails)
    file.append(b"first\n")
    with pytest.raises(OSError, match="No space"):
        file.append(b"second\n")
    file.append(b"third\n")
    assert (tmp_path / "lines").read_bytes() == b"first\nthird\n"


def test_a_file_that_was_deleted_is_not_made_again(tmp_path):
    file = Appended(tmp_path / "lines")
    file.path.unlink()
    with pytest.raises(FileNotFoundError, match="it has been deleted, or its disk is gone"):
        file.append(b"more\n")
    assert not file.path.exists()


def test_more_files_are_appended_to_than_a_process_may_hold_open(tmp_path):
    def work():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        files = [Appended(tmp_path / str(number)) for number in range(99)]
        for file in files:
            file.append(b"line\n")
        return sum(file.path.stat().st_size for file in files)

    assert in_a_fork(work) == 99 * 5


test_seeded_bugs = seeded(
    Bug(
        "points have no step",
        EventFile.write,
        lambda self, step, row: self._append(
            self.event(
                wall_time=time.time(),
                summary=self.together(value=[point for named in row.items() for point in self._points(*named)]),
            )
        ),
        [test_tensorboard_reads_the_same_points_from_our_file_as_from_its_own_writers],
    ),
)
