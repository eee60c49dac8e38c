"""Files to which whole records are appended, and TensorBoard's event files among them.

TensorBoard's own writer appends in a thread of its own, where a full disk is a traceback on standard error; the next
call then raises it in the caller, and the file may end in half a record.
"""

from __future__ import annotations

import errno
import io
import itertools
import os
import socket
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = float | str | NDArray[Any]  # a point of a curve, a text, an image [height, width, 3] of bytes
Record = Any  # a Summary.Value: a record of TensorBoard's plugins, with a tag of its own
VERSION = "brain.Event:2"  # of the format, as TensorBoard calls it


class Appended:
    """A file that grows by whole records: one that does not fit on the disk leaves nothing of it behind.

    It is open while a record is written, so that there may be more such files than a process may hold open.

    Args:
        path: the file.
        mode: "x": a new file; "a": what is there stays.

    Raises:
        OSError: it cannot be made, or exists with mode "x".
    """

    def __init__(self, path: Path, mode: str = "x") -> None:
        self.path = path.absolute()
        self.path.open(f"{mode}b").close()

    def append(self, record: bytes) -> None:
        """Append a record; it is in the file when this returns.

        Raises:
            OSError: the disk is full, fails or is gone, or the file has been deleted; the file is then as it was.
        """
        with self._opened() as file:
            before = file.seek(0, os.SEEK_END)
            try:
                while record:
                    record = record[file.write(record) :]
            except OSError:
                with suppress(OSError):
                    file.truncate(before)
                raise

    def _opened(self) -> io.FileIO:
        try:
            return io.FileIO(self.path, "r+")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileNotFoundError(errno.ENOENT, "it has been deleted, or its disk is gone") from error


class EventFile:
    """A new event file, which TensorBoard shows.

    Args:
        folder: the folder in which it is made.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary  # takes a second to import
        from tensorboard.summary.writer.record_writer import RecordWriter
        from torch.utils.tensorboard import summary
        from torch.utils.tensorboard.writer import Event

        self.summary, self.point, self.event, self.framed = summary, Summary.Value, Event, RecordWriter
        self.together = Summary
        stem = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
        self.file = Appended(next(path for n in itertools.count() if not (path := folder / f"{stem}.{n}").exists()))
        self._append(Event(wall_time=time.time(), file_version=VERSION))

    def write(self, step: int, row: Mapping[str, Value], records: Iterable[Record] = ()) -> None:
        """Append the values of a step and records of plugins, all of them or none.

        Raises:
            OSError: as `Appended.append`.
        """
        points = [*records, *(point for name, value in row.items() for point in self._points(name, value))]
        self._append(self.event(wall_time=time.time(), step=step, summary=self.together(value=points)))

    def _points(self, name: str, value: Value) -> Iterable[Any]:
        if isinstance(value, str):
            return self.summary.text(name, value).value
        if isinstance(value, np.ndarray) and value.ndim == 3:
            return self.summary.image(name, value, dataformats="HWC").value
        return [self.point(tag=name, simple_value=float(value))]

    def _append(self, event: Any) -> None:  # noqa: ANN401
        record = io.BytesIO()
        self.framed(record).write(event.SerializeToString())
        self.file.append(record.getvalue())
