"""Records of what was measured, one JSON object a line, each with where it came from."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pg_agents.errors import UserError
from pg_agents.locks import held
from pg_agents.shown import shown


@dataclass(frozen=True)
class Record:
    """What one cell of an experiment measured with one seed, or why it failed.

    Attributes:
        experiment: the experiment's name.
        cell: the cell's content as JSON, with its "name".
        seed: the seed, or the number of the repetition.
        result: what was measured, as JSON; None: it failed.
        error: why it failed, as "Type: message"; None: it did not.
        command: what was typed, without places of one machine.
        commit: the checkout's, "+changes" behind it where files differ from it.
        machine: processor, cores and memory of the machine that measured.
        versions: of Python and of the packages that decide results.
        seconds: what it took; of several seeds in one batch, each has its share.
        peak_memory_mib: the most memory that the measuring process held, in MiB.
        started: when it began, UTC, ISO 8601.
        code: of an experiment in a user's files, a hash of these and of the modules that they name.
    """

    experiment: str
    cell: dict[str, Any]
    seed: int
    result: dict[str, Any] | None
    error: str | None = None
    command: str | None = None
    commit: str | None = None
    machine: dict[str, Any] | None = None
    versions: dict[str, str | None] | None = None
    seconds: float | None = None
    peak_memory_mib: float | None = None
    started: str | None = None
    code: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what its line holds: `code` only where there is one."""
        return {name: value for name, value in asdict(self).items() if name != "code" or value is not None}

    @property
    def is_good(self) -> bool:
        """Whether something was measured."""
        return self.error is None and self.result is not None


def read(path: Path) -> list[Record]:
    """Return the records of a file in their order; none of a file that does not exist.

    A last line without its end is a record that was not written whole, and is left out.

    Raises:
        UserError: a line is no record; the message names file and line.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_bytes().split(b"\n")
    return [_parsed(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _parsed(path: Path, number: int, line: bytes) -> Record:
    try:
        record = Record(**json.loads(line))
        if not isinstance(record.cell, dict) or not isinstance(record.cell.get("name"), str):
            raise ValueError("its cell has no name")
        return record
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}, line {number}: not a record ({shown(str(error))}); delete the line") from error


def append(path: Path, record: Record) -> None:
    """Write a record as the file's last line, and wait until the disk has it; a torn line before it is removed.

    Several processes may append to files of one folder: each holds it meanwhile.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(record.as_json(), ensure_ascii=False).encode() + b"\n"
    with held(path.parent), path.open("a+b") as file:
        _remove_torn_line(file.fileno())
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def _remove_torn_line(descriptor: int) -> None:
    """Cut a file behind its last end of a line."""
    position = size = os.fstat(descriptor).st_size
    while position:
        begin = max(position - 65536, 0)
        os.lseek(descriptor, begin, os.SEEK_SET)
        end = os.read(descriptor, position - begin).rfind(b"\n")
        if end >= 0:
            position = begin + end + 1
            break
        position = begin
    if position < size:
        os.ftruncate(descriptor, position)


def latest(records: Iterable[Record]) -> list[Record]:
    """Return the last record of each cell's name and seed."""
    return list({(record.cell.get("name"), record.seed): record for record in records}.values())
