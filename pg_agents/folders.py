"""Folders on disk that are whole or not there, whatever ends the process that writes them.

`write` fills a temporary folder beside the wanted one, `.pg_agents-….tmp`. It has three entries: a marker that says
that it is ours, `new`, and for an instant `old`. When `new` is complete, has its manifest and is on the disk, one
rename exchanges it with the folder that is there. Where the system or the file system cannot exchange folders, there
are two renames, of the former folder to `old` and of `new` to its place; if the process is killed between them, the
former folder is put back by the next `read`, `write` or `sweep`. So a reader finds the former folder or the new one.

A process that is killed leaves its temporary folder behind. The next `write` beside it deletes it, as does `sweep`:
only folders with that name, the marker and no other entries, and only those that no living process holds. A writer
holds its temporary folder with `flock`, which the system releases when the process ends, however it ends; and while
names change it holds the folder in which they do, so that writers take turns and the last one's folder stays. Network
file systems without `flock` offer neither: leftovers are kept there, and only one process should write a folder.

What is on the disk is what `fsync` promises: everything, after a power failure too, on a disk that keeps its word.
"""

from __future__ import annotations

import ctypes
import os
import re
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError

from pg_agents.errors import NotSavedError, SavedFilesError
from pg_agents.locks import TAKEN, held, lock, release
from pg_agents.manifest import listed, seal, synchronize
from pg_agents.shown import shown

T = TypeVar("T")
Fill = Callable[[Path], Mapping[str, str] | None]
PATTERN = re.compile(r"\.pg_agents-[0-9a-f]{16}\.tmp")
MARKER, NEW, OLD = "written-by-pg_agents", "new", "old"
EXCHANGE, HERE = 2, -100  # of Linux' renameat2: RENAME_EXCHANGE, AT_FDCWD
ATTEMPTS = 100  # to read a folder that other processes keep replacing


def write(path: Path, fill: Fill, check: Callable[[Path], None] | None = None) -> None:
    """Write the folder `path` with what `fill` writes and a manifest; what is there is replaced once it is complete.

    Args:
        path: the folder; it is resolved, and the folders above it are made.
        fill: writes files to the empty folder it is given; may return the SHA-256 of some, as `seal` takes them.
        check: raises if what is at `path` must not be replaced, which no other writer moves then; None: `check_ours`.

    Raises:
        SavedFilesError: what is there holds anything that its manifest does not list.
        NotSavedError: the disk is full, read-only, or gone; what was at `path` is still there.
    """
    path, check = path.resolve(), check or check_ours
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _temporary(path.parent) as folder:
            with held(path.parent):
                check(path)
            fresh = folder / NEW
            fresh.mkdir()
            seal(fresh, fill(fresh))
            with held(path.parent):
                check(path)
                _put(fresh, path, folder / OLD)
            synchronize([path.parent])
    except (OSError, SafetensorError) as error:
        raise _in_a_sentence(path, error) from error


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, texts in UTF-8; what is there is replaced once the new one is on the disk, in one step.

    A process that is killed may leave a file called .NAME.pg_agents.tmp, which the next call replaces.

    Raises:
        OSError: the disk is full, read-only, or gone; what was at `path` is still there.
    """
    write_files({path: content})


def write_files(contents: Mapping[Path, str | bytes]) -> None:
    """Write several files, each as `write_file` does; the disk is waited for once.

    Raises:
        OSError: the disk is full, read-only, or gone; each file is what it was, or the new one.
    """
    fresh = {path.with_name(f".{path.name}.pg_agents.tmp"): path for path in contents}
    try:
        for temporary, path in fresh.items():
            content = contents[path]
            temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        synchronize([*fresh])
        for temporary, path in fresh.items():
            os.replace(temporary, path)
    except OSError:
        for temporary in fresh:
            with suppress(OSError):
                temporary.unlink()
        raise
    synchronize([*dict.fromkeys(path.parent for path in contents)])


def read(path: Path, reader: Callable[[Path], T]) -> T:
    """Return what `reader` makes of the folder `path`, read anew if another process replaced it meanwhile."""
    for attempt in range(ATTEMPTS):
        before = _identity(path) or restore(path)
        try:
            found = reader(path)
        except Exception:
            if _identity(path) == before or attempt == ATTEMPTS - 1:
                raise
            continue
        if _identity(path) == before:
            return found
    raise SavedFilesError(f"path: {path} was replaced {ATTEMPTS} times while it was read")


def check_ours(path: Path) -> None:
    """Raise SavedFilesError if `path` is no folder or holds anything that its manifest does not list."""
    if path.exists() and not path.is_dir():
        raise SavedFilesError(f"path: {path} exists and is no folder; give another")
    if path.exists() and (name := foreign(path, lambda: listed(path))):
        raise SavedFilesError(f"path: {path} holds {shown(name)}, which no save wrote; move it, or give another folder")


def foreign(path: Path, ours: Callable[[], set[str]]) -> str | None:
    """Return the first name in the folder `path` that is not among `ours`; nothing is ours where that raises."""
    found = sorted(file.relative_to(path).as_posix() for file in path.rglob("*"))
    try:
        known = ours() if found else set()
    except SavedFilesError:
        known = set()
    return next((name for name in found if name not in known), None)


def restore(path: Path) -> tuple[int, int] | None:
    """Put back the folder `path` if a writer was killed between its renames; return its identity, if it is there."""
    with suppress(OSError), held(path.parent):
        if not path.exists():
            for leftover in _leftovers(path.parent):
                if (leftover / OLD / path.name).is_dir():
                    _finish(leftover)
        return _identity(path)
    return None


def sweep(parent: Path) -> None:
    """Put back or delete what killed writers left in the folder `parent`; nothing else is touched."""
    with held(parent):
        for leftover in _leftovers(parent):
            _finish(leftover)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a folder from the one that it was exchanged with; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_ctime_ns


@contextmanager
def _temporary(parent: Path) -> Iterator[Path]:
    """A context with a temporary folder of ours in `parent`, held by this process; its former leftovers are swept."""
    folder = parent / f".pg_agents-{secrets.token_hex(8)}.tmp"
    with held(parent):
        for leftover in _leftovers(parent):
            _finish(leftover)
        folder.mkdir()
        descriptor = lock(folder)
    try:
        (folder / MARKER).write_text("A save is at work here. Once it has ended, the next one deletes this folder.\n")
        yield folder
    finally:
        _finish(folder)
        release(descriptor)


def _leftovers(parent: Path) -> Iterator[Path]:
    """Yield the temporary folders of ours in `parent` that no living process holds; `parent` is held."""
    for name in sorted(os.listdir(parent)):
        folder = parent / name
        if not PATTERN.fullmatch(name) or folder.is_symlink() or not folder.is_dir():
            continue
        try:
            entries = set(os.listdir(folder))
        except OSError:  # its writer has ended since
            continue
        if not _ours(entries) or (descriptor := lock(folder)) in (None, TAKEN):
            continue
        try:
            yield folder
        finally:
            release(descriptor)


def _ours(entries: set[str]) -> bool:
    return not entries or (MARKER in entries and entries <= {MARKER, NEW, OLD})


def _finish(folder: Path) -> None:
    """Put back the former folder if there is none in its place, and delete the temporary one, its marker last."""
    _put_back(folder / OLD)
    for name in (NEW, OLD):
        shutil.rmtree(folder / name, ignore_errors=True)
    with suppress(OSError):
        (folder / MARKER).unlink(missing_ok=True)
        folder.rmdir()


def _put_back(old: Path) -> None:
    with suppress(OSError):
        for former in old.iterdir():
            os.rename(former, old.parent.parent / former.name)  # refused where a folder holds anything


def _put(fresh: Path, path: Path, old: Path) -> None:
    """Rename the folder `fresh` to `path`; what is there takes its place, from where it is never put back."""
    if not path.exists():
        os.rename(fresh, path)
    elif not _exchange(fresh, path):
        old.mkdir()
        try:
            os.rename(path, old / path.name)
            os.rename(fresh, path)
            os.rename(old / path.name, fresh)
        finally:
            _put_back(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; return False where the system or the file system cannot."""
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if library is None or not hasattr(library, "renameat2"):
        return False
    return library.renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE) == 0


def _in_a_sentence(path: Path, error: Exception) -> NotSavedError:
    """Return an error that names what could not be written and why, with the number of the system's."""
    reason = getattr(error, "strerror", None) or str(error)
    said = NotSavedError(f"path: {path} cannot be written ({reason}); what was saved there before is as it was")
    said.errno = getattr(error, "errno", None)
    return said
