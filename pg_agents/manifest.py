"""What a folder that the package wrote holds: the size and the SHA-256 of each of its files, in manifest.json.

`seal` writes the manifest, and waits until the disk has every file; `verify` compares a folder with its manifest, sizes
first, then contents, at the speed of reading. Both hold a mebibyte in memory at most. What `verify` sees: a file that
is truncated, missing, longer, changed in a single bit, or another's; a manifest that is damaged, of another folder, or
of a later version. What it cannot see: a folder in which somebody changed a file and the manifest to match, as whoever
can do that could have written the folder; files that the manifest does not list.

`read_json` and `check_tensors` bound what reading a file can cost before it is parsed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import string
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pg_agents.errors import SavedFilesError
from pg_agents.shown import shown

MANIFEST = "manifest.json"
FORMAT = 1
WRITER = "pg_agents"
LARGEST_JSON = 64 << 20  # bytes; JSON takes about 20 times its size in memory
LARGEST_HEADER = 1 << 20  # bytes of a safetensors file's header, or 1/64 of the file: a mebibyte takes 0.4 s to read
THREADS = 8
DIGITS = set(string.hexdigits.lower())


def seal(folder: Path, hashed: Mapping[str, str] | None = None) -> None:
    """Write the manifest of all files in `folder`, and return when the disk has them, the manifest and the folder.

    Args:
        folder: the folder.
        hashed: the SHA-256 of files, by name, for which it was computed while they were written.

    Raises:
        OSError: a file cannot be read or written.
    """
    known = hashed or {}
    files = {
        name: {"bytes": file.stat().st_size, "sha256": known.get(name) or sha256(file)} for name, file in _files(folder)
    }
    text = json.dumps({"written_by": WRITER, "format": FORMAT, "files": files}, indent=2) + "\n"
    (folder / MANIFEST).write_text(text, encoding="utf-8")
    synchronize([folder, *folder.rglob("*")])


def verify(folder: Path) -> bytes:
    """Compare every file that the manifest of `folder` lists with what it says; return the manifest as it is on disk.

    Raises:
        SavedFilesError: the manifest or a file is missing, damaged, another one, or of a later version.
    """
    text, files = _read(folder)
    for name, found in files.items():
        size = regular_size(folder, name)
        if size != found["bytes"]:
            raise SavedFilesError(f"{shown(name)} has {size} bytes, {MANIFEST} says {found['bytes']}")
    for name, found in files.items():
        if _digest(folder, name) != found["sha256"]:
            raise SavedFilesError(f"{shown(name)} is not the file that was written: its SHA-256 is another")
    return text


def listed(folder: Path) -> set[str]:
    """Return the names of the files that the manifest of `folder` lists, with the folders they are in and its own.

    Raises:
        SavedFilesError: there is no manifest, or it is damaged.
    """
    names = {*_read(folder)[1], MANIFEST}
    return names | {str(above) for name in names for above in Path(name).parents if above.name}


def read_json(folder: Path, name: str, most: int = LARGEST_JSON) -> Any:  # noqa: ANN401
    """Return what a JSON file in a folder holds.

    Raises:
        SavedFilesError: it is missing, no regular file, longer than `most` bytes, nested too deep, or no JSON.
    """
    return _parsed(name, _limited(folder, name, most))


def check_tensors(folder: Path, name: str) -> None:
    """Raise SavedFilesError if the header of a safetensors file is longer than the file or takes seconds to read."""
    size = regular_size(folder, name)
    try:
        with (folder / name).open("rb") as stream:
            header = int.from_bytes(stream.read(8), "little")
    except OSError as error:
        raise unreadable(name, error) from error
    if header > size - 8:
        raise SavedFilesError(f"{shown(name)} is truncated: its header alone has {header} bytes, the file {size}")
    if header > (most := max(LARGEST_HEADER, size // 64)):
        raise SavedFilesError(f"the header of {shown(name)} has {header} bytes, which is more than {most}")


def regular_size(folder: Path, name: str) -> int:
    """Return the bytes of a file; SavedFilesError if it is missing or no regular file, which might never end."""
    try:
        found = (folder / name).stat()
    except (OSError, ValueError) as error:
        raise unreadable(name, error) from error
    if not stat.S_ISREG(found.st_mode):
        raise SavedFilesError(f"{shown(name)} is no regular file")
    return found.st_size


def unreadable(name: str, error: Exception) -> SavedFilesError:
    """Return the error for a file that cannot be read."""
    if isinstance(error, FileNotFoundError):
        return SavedFilesError(f"{shown(name)} is missing")
    return SavedFilesError(f"{shown(name)} cannot be read ({getattr(error, 'strerror', None) or shown(error)})")


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file, as hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def synchronize(places: Sequence[Path]) -> None:
    """Return when the disk has the contents of files and the entries of folders, as the system promises.

    They are waited for at the same time, since a file system then writes them together: a save waits once or twice
    instead of five times.

    Raises:
        OSError: the disk is full, or has failed.
    """
    errors: list[OSError] = []

    def wait(some: Sequence[Path]) -> None:
        try:
            for place in some:
                _synchronize(place)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=wait, args=(places[first::THREADS],)) for first in range(THREADS)]
    working = threads[: len(places)]
    for thread in working:
        thread.start()
    for thread in working:
        thread.join()
    if errors:
        raise errors[0]


def _synchronize(place: Path) -> None:
    if sys.platform == "win32" and place.is_dir():
        return
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that know no fsync of folders
            raise
    finally:
        os.close(descriptor)


def _digest(folder: Path, name: str) -> str:
    try:
        return sha256(folder / name)
    except OSError as error:
        raise unreadable(name, error) from error


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (name, path) of the files in a folder and in those within, in order, without the manifest."""
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and name != MANIFEST:
            yield name, file


def _limited(folder: Path, name: str, most: int) -> bytes:
    if (size := regular_size(folder, name)) > most:
        raise SavedFilesError(f"{shown(name)} has {size} bytes, which is more than {most}")
    try:
        with (folder / name).open("rb") as stream:
            return stream.read(most)
    except OSError as error:
        raise unreadable(name, error) from error


def _parsed(name: str, text: bytes) -> Any:  # noqa: ANN401
    try:
        return json.loads(text.decode("utf-8"))
    except RecursionError as error:
        raise SavedFilesError(f"{shown(name)} is nested too deep") from error
    except ValueError as error:
        raise SavedFilesError(f"{shown(name)} is no JSON ({shown(error)})") from error


def _read(folder: Path) -> tuple[bytes, dict[str, dict[str, Any]]]:
    """Return a manifest as it is on disk, and what it says of each file: its "bytes" and its "sha256"."""
    text = _limited(folder, MANIFEST, LARGEST_HEADER)
    found = _parsed(MANIFEST, text)
    if isinstance(found, dict) and found.get("written_by") == WRITER:
        version = found.get("format")
        if isinstance(version, int) and version > FORMAT:
            raise SavedFilesError(f"{MANIFEST} is of format {version}, this version reads {FORMAT}; update pg-agents")
        files = found.get("files")
        if version == FORMAT and isinstance(files, dict) and all(map(_sound, files.items())):
            return text, files
    raise SavedFilesError(f"{MANIFEST} is not as it was written")


def _sound(item: tuple[str, Any]) -> bool:
    """Return whether a manifest's line names a file within its folder, its size and its SHA-256."""
    name, found = item
    inside = name and "\0" not in name and not Path(name).is_absolute() and ".." not in Path(name).parts
    if not (inside and isinstance(found, dict) and found.keys() == {"bytes", "sha256"}):
        return False
    size, digest = found["bytes"], found["sha256"]
    return type(size) is int and size >= 0 and isinstance(digest, str) and len(digest) == 64 and set(digest) <= DIGITS
