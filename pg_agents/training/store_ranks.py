"""Processes that each work alone, and tell each other what they found by a store of torch.distributed, without a group.

A group's messages have to be answered within a time; here whoever is ready first waits for as long as the others work.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import safetensors.torch
import torch
import torch.distributed as dist
from torch import Tensor

from pg_agents.data.shares import Ranks
from pg_agents.errors import LostRankError
from pg_agents.shown import shown

SECONDS = 0.1  # between two looks
BEAT = 1.0  # seconds between two signs of life
SILENT = 60.0  # seconds without any, after which a process is lost
BEFORE = 600.0  # the same before the first: it is still being started
PATIENCE = 5.0  # seconds for which rank 0 lets the others leave first


class StoreRanks:
    """The processes of a store, while it is entered as a context.

    Args:
        store: the store, which no one else uses.
        number: of this process, from 0.
        count: of the processes.
    """

    def __init__(self, store: dist.Store, number: int, count: int) -> None:
        self.store, self.number, self.count = store, number, count
        self.look: Callable[[], None] = lambda: None  # called several times a second while this process waits
        self.asked = 0
        self.beats: dict[int, tuple[bytes, float]] = {}  # of the others: the newest, and when it was seen first
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> StoreRanks:
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave the store; rank 0, which may hold it, lets the others leave first, if nothing is to end at once."""
        self.over.set()
        self.thread.join()
        with suppress(RuntimeError):  # whoever holds the store has ended
            self.store.set(f"left/{self.number}", "")
            others = [] if self.number else [f"left/{other}" for other in range(1, self.count)]
            until = time.monotonic() + (PATIENCE if kind is None or issubclass(kind, Exception) else 0)
            while others and not self.store.check(others) and time.monotonic() < until:
                time.sleep(SECONDS)

    def _beat(self) -> None:
        with suppress(RuntimeError):
            for count in range(2**63):
                self.store.set(f"beat/{self.number}", str(count))
                if self.over.wait(BEAT):
                    return

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensor of each rank, in order, once all have called this; their shapes may differ."""
        self.asked += 1
        try:
            mine = safetensors.torch.save({"tensor": tensor.contiguous()})
            self.store.set(f"{self.asked}/{self.number}", mine)  # type: ignore[arg-type]  # bytes are as good
            found = [self._of(other) for other in range(self.count)]
        except RuntimeError as error:
            if isinstance(error, LostRankError):
                raise
            raise LostRankError(f"rank {self.number}: {self._silent('the first one')} ({shown(error, 200)})") from error
        return [safetensors.torch.load(one)["tensor"] for one in found]

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the ranks, in place."""
        for tensor in tensors:
            tensor.copy_(torch.stack(self.gather(tensor)).sum(0))

    def _of(self, other: int) -> bytes:
        """Return what another rank has given, once it has."""
        key = f"{self.asked}/{other}"
        while not self.store.check([key]):
            self.look()
            if self.store.check([f"left/{other}"]) and not self.store.check([key]):
                raise LostRankError(f"rank {self.number}: rank {other} has ended; what it said stands above")
            self._listen(other)
            time.sleep(SECONDS)
        return self.store.get(key)

    def _listen(self, other: int) -> None:
        key, (before, since) = f"beat/{other}", self.beats.get(other, (b"", time.monotonic()))
        now = self.store.get(key) if self.store.check([key]) else b""
        if now != before or other not in self.beats:
            self.beats[other] = now, time.monotonic()
        elif time.monotonic() - since > (SILENT if before else BEFORE):
            raise LostRankError(f"rank {self.number}: {self._silent(f'rank {other}')}")

    def _silent(self, who: str) -> str:
        return f"{who} has ended, or does not answer; what it said stands above, if it said anything"

    def is_first(self) -> bool:
        """Return whether no other rank has called this before."""
        try:
            return self.store.add("first", 1) == 1
        except RuntimeError:
            return True


@contextmanager
def looking(ranks: Ranks, look: Callable[[], None]) -> Iterator[None]:
    """A context in which `look` is called several times a second while this process waits for others."""
    if isinstance(ranks, StoreRanks):
        ranks.look = look
    try:
        yield
    finally:
        if isinstance(ranks, StoreRanks):
            ranks.look = lambda: None


def of_every(ranks: Ranks, value: Any) -> list[Any]:  # noqa: ANN401
    """Return the plain value of each rank, in order."""
    if ranks.count == 1:
        return [value]
    text = torch.tensor(list(json.dumps(value).encode()), dtype=torch.uint8)
    return [json.loads(bytes(one.tolist())) for one in ranks.gather(text)]
