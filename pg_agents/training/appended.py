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
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Value = float | str | NDArray[Any]  # a point of a curve, a text, an image [height, width, 3] of bytes
VERSION = "brain.Event:2"  # of the format, as TensorBoard calls it


class Appended:
    """A file that grows by whole records: one that does not fit on the disk leaves nothing of it behind.

    Args:
        path: the file.
        mode: "x": a new file; "a": what is there stays.

    Raises:
        OSError: it cannot be made, or exists with mode "x".
    """

    def __init__(self, path: Path, mode: str = "x") -> None:
        self.path = path.absolute()
        self.file = self.path.open(f"{mode}b", buffering=0)

    def append(self, record: bytes) -> None:
        """Append a record; it is in the file when this returns.

        Raises:
            OSError: the disk is full, fails or is gone, or the file has been deleted; the file is then as it was.
        """
        before = os.fstat(self.file.fileno())
        if not self._in_place(before):
            raise FileNotFoundError(errno.ENOENT, "it has been deleted, or its disk is gone")
        try:
            while record:
                record = record[self.file.write(record) :]
        except OSError:
            with suppress(OSError):
                os.ftruncate(self.file.fileno(), before.st_size)
                self.file.seek(0, os.SEEK_END)
            raise

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _in_place(self, opened: os.stat_result) -> bool:
        """Return whether the file that was opened is the one that its path names."""
        try:
            return os.path.samestat(opened, self.path.stat())
        except (FileNotFoundError, NotADirectoryError):
            return False


class EventFile:
    """A new event file, which TensorBoard shows.

    Args:
        folder: the folder in which it is made.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.record_writer import RecordWriter  # takes a second to import
        from torch.utils.tensorboard import summary
        from torch.utils.tensorboard.writer import Event

        self.summary, self.event, self.framed = summary, Event, RecordWriter
        stem = f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}"
        self.file = Appended(next(path for n in itertools.count() if not (path := folder / f"{stem}.{n}").exists()))
        self._append(Event(wall_time=time.time(), file_version=VERSION))

    def write(self, step: int, row: Mapping[str, Value]) -> None:
        """Append the values of a step, all of them or none.

        Raises:
            OSError: as `Appended.append`.
        """
        now = time.time()
        self._append(*(self.event(wall_time=now, step=step, summary=self._shown(*named)) for named in row.items()))

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _shown(self, name: str, value: Value) -> Any:  # noqa: ANN401
        if isinstance(value, str):
            return self.summary.text(name, value)
        if isinstance(value, np.ndarray) and value.ndim == 3:
            return self.summary.image(name, value, dataformats="HWC")
        return self.summary.scalar(name, float(value))

    def _append(self, *events: Any) -> None:  # noqa: ANN401
        records = io.BytesIO()
        framed = self.framed(records)
        for event in events:
            framed.write(event.SerializeToString())
        self.file.append(records.getvalue())
