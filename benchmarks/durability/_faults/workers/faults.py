"""The faults, the same for every side: what is left of what was saved, by the library's own load call.

A way of saving has two things to save, 1 and 2, which differ. The earlier save is of 1; what fails is the save of 2
over it, or reading 1.
"""

from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from forks import Begin, Fork

Found = dict[str, Any]


class Way(Protocol):
    """A library's way of saving, which writes all that it writes into one folder."""

    def save(self, number: int, folder: Path) -> None:
        """Save thing 1 or 2."""

    def load(self, folder: Path) -> str:
        """Return the fingerprint of what the library's own call loads."""


class ByHand(Way, Protocol):
    """A way that keeps the earlier save beside the new one, where it can be named if the newest does not load."""

    def load_earlier(self, folder: Path) -> str:
        """Return the fingerprint of the earlier save."""


def fingerprint(parts: Iterable[tuple[str, Any]]) -> str:
    """Return a hash of named tensors, to the bit, and of whatever else is named, as text."""
    found = hashlib.sha256()
    for name, value in sorted(parts):
        array = value.detach().cpu().contiguous().numpy() if hasattr(value, "detach") else None
        content = repr(value).encode() if array is None else f"{array.dtype}{array.shape}".encode() + array.tobytes()
        found.update(f"{name} {len(content)} ".encode() + content)
    return found.hexdigest()


def flat(tree: Any, name: str = "") -> Iterable[tuple[str, Any]]:  # noqa: ANN401
    """Yield the leaves of nested dictionaries, lists and tuples, by name."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from flat(value, f"{name}/{key}")
    elif isinstance(tree, list | tuple):
        for number, value in enumerate(tree):
            yield from flat(value, f"{name}/{number}")
    else:
        yield name, tree


class Bench:
    """A way of saving, its earlier save, and what both things load as."""

    def __init__(self, way: Way, folder: Path) -> None:
        self.way, self.kept, self.folder = way, folder / "kept", folder / "now"
        self.loads: dict[str, str] = {}
        for number, name in ((1, "old"), (2, "new")):
            self.save(number, self.kept).join()  # the second over the first, as what fails will be
            self.restore()
            self.loads[self.load_or_raise()] = name
            if number == 1:
                shutil.copytree(self.kept, folder / "first")
        shutil.rmtree(self.kept)
        (folder / "first").rename(self.kept)
        if len(self.loads) != 2:
            raise RuntimeError("what is saved twice is the same")
        self.restore()

    def restore(self) -> None:
        """Put the earlier save back, alone."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self.kept.exists():
            shutil.copytree(self.kept, self.folder)

    def save(self, number: int, folder: Path, before: Callable[[], None] | None = None) -> Fork:
        """Begin to save in a fork; `before` the save it does that."""

        def work(begin: Begin) -> str:
            folder.mkdir(parents=True, exist_ok=True)
            if before:
                before()
            begin()
            started = time.perf_counter()
            self.way.save(number, folder)
            return str(time.perf_counter() - started)

        return Fork(work)

    def load_or_raise(self) -> str:
        """Return the fingerprint of what loads."""
        ended = Fork(lambda begin: self.way.load(self.folder)).join()
        if ended.said is None:
            raise RuntimeError(f"what was saved does not load ({ended.trouble()})")
        return ended.said

    def load(self) -> str:
        """Return what loads now: "old", "new", "other values", or why nothing does."""
        ended = Fork(lambda begin: self.way.load(self.folder)).join()
        if ended.said is not None:
            return self.loads.get(ended.said, "other values")
        earlier = getattr(self.way, "load_earlier", None)
        if earlier is not None:
            by_hand = Fork(lambda begin: earlier(self.folder)).join()
            if self.loads.get(by_hand.said or "") == "old":
                return f"{ended.trouble()}; the earlier one if it is named"
        return ended.trouble()

    def files(self) -> list[Path]:
        """Return the files of the save."""
        return sorted(file for file in self.folder.rglob("*") if file.is_file())

    def size(self) -> int:
        """Return the bytes of the save."""
        return sum(file.stat().st_size for file in self.files())

    def at(self, offset: int) -> tuple[Path, int]:
        """Return the file, and the place in it, of byte `offset` of all files one after another."""
        for file in self.files():
            size = file.stat().st_size
            if offset < size:
                return file, offset
            offset -= size
        raise ValueError(f"offset: {offset} bytes behind the last")


def kill(way: Way, folder: Path, count: int, seed: int) -> Found:
    """Kill processes at random within the time that a save over an earlier one takes, which is measured before each."""
    bench, draw = Bench(way, folder), random.Random(seed)
    times, found, inside = [], Counter[str](), 0
    for _ in range(count):
        bench.restore()
        times.append(float(bench.save(2, bench.folder).join().said or "nan"))
        bench.restore()
        fork = bench.save(2, bench.folder)
        if not fork.wait_for_begin():
            raise RuntimeError(f"a save did not begin ({fork.join().trouble()})")
        time.sleep(draw.uniform(0.0, times[-1]))
        fork.send(signal.SIGKILL)
        inside += fork.join().said is None
        found[bench.load()] += 1
    bench.restore()
    return {"found": found, "inside": inside, "save_seconds": median(times), "bytes": bench.size()}


def flip(way: Way, folder: Path, count: int, seed: int) -> Found:
    """Flip single bits of what was saved, anywhere in its files."""
    bench, draw, found = Bench(way, folder), random.Random(seed), Counter[str]()
    size = bench.size()
    for _ in range(count):
        file, offset = bench.at(draw.randrange(size))
        content = bytearray(file.read_bytes())
        content[offset] ^= 1 << draw.randrange(8)
        file.write_bytes(content)
        found[bench.load()] += 1
        bench.restore()
    return {"found": found, "bytes": size}


def truncate(way: Way, folder: Path, count: int, seed: int) -> Found:
    """Cut a file off, at places that are evenly spread over all files."""
    bench, found = Bench(way, folder), Counter[str]()
    size = bench.size()
    for number in range(count):
        os.truncate(*bench.at(size * number // count))
        found[bench.load()] += 1
        bench.restore()
    return {"found": found, "bytes": size}


def full(way: Way, folder: Path, count: int, seed: int) -> Found:
    """Save where no file can grow beyond a limit, of which there are several up to the size of the largest file."""
    bench, found, said, unnoticed = Bench(way, folder), Counter[str](), Counter[str](), 0
    largest = max(file.stat().st_size for file in bench.files())
    for number in range(count):
        limit = largest * number // count
        before = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (limit, limit))
        ended = bench.save(2, bench.folder, before).join()
        then = bench.load()
        said[ended.trouble() if ended.said is None else "nothing"] += 1
        unnoticed += ended.said is not None and then != "new"
        found[then] += 1
        bench.restore()
    return {"found": found, "said": said, "unnoticed": unnoticed, "bytes": bench.size()}
