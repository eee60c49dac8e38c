"""Pictures say in their metadata which experiment and which records they were drawn from."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.suite.records import Record

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PREFIX = "benchmarks-"  # of the keywords in the file


@dataclass(frozen=True)
class Stamp:
    """What a picture was drawn from, and what it shows."""

    experiment: str
    figure: str
    """Its name among the experiment's pictures; "" for the only one."""
    title: str
    records: str
    """`fingerprint` of the records."""

    def metadata(self) -> dict[str, str]:
        """Return what matplotlib writes into the picture."""
        return {PREFIX + key: value for key, value in asdict(self).items()}


def fingerprint(records: Iterable[Record]) -> str:
    """Return a hash of what records say, whatever their order."""
    lines = sorted(json.dumps(record.as_json(), sort_keys=True) for record in records)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def read_stamp(path: Path) -> Stamp | None:
    """Return the stamp of a picture, or None if it was drawn by something else."""
    texts = {key.removeprefix(PREFIX): text for key, text in _texts(path).items() if key.startswith(PREFIX)}
    return Stamp(**texts) if texts.keys() == Stamp.__dataclass_fields__.keys() else None


def drawn(folder: Path) -> dict[Path, Stamp]:
    """Return the pictures of experiments in a folder, with their stamps."""
    found = {path: read_stamp(path) for path in sorted(folder.glob("*.png"))}
    return {path: stamp for path, stamp in found.items() if stamp}


def _texts(path: Path) -> Mapping[str, str]:
    """Return the texts in a PNG: chunks of tEXt (Latin-1) and of iTXt (UTF-8, not compressed)."""
    content, texts, at = path.read_bytes(), {}, len(SIGNATURE)
    if not content.startswith(SIGNATURE):
        return {}
    while at + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        key, _, rest = content[at + 8 : at + 8 + length].partition(b"\0")
        if kind == b"tEXt":
            texts[key.decode("latin-1")] = rest.decode("latin-1")
        elif kind == b"iTXt" and not rest[0]:
            texts[key.decode("latin-1")] = rest[2:].split(b"\0", 2)[2].decode()
        at += length + 12
    return texts
