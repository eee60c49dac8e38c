"""Refuses networks that need more memory than this machine has, before they are made."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pg_agents.errors import UnsupportedSpaceError

MAKERS = (torch.empty, torch.zeros, torch.ones, torch.full)  # functions that allocate parameters
GIB = 2**30


class MemoryLimit(TorchFunctionMode):
    """A context in which allocating tensors beyond this machine's memory raises an error.

    Without it, an operating system that promises more memory than it has ends the process later, without a message.

    Args:
        copies: the number of copies of each tensor to count: 4 with a gradient and Adam's two moments.

    Raises:
        UnsupportedSpaceError: at the first tensor that does not fit; the message has the arithmetic.
    """

    def __init__(self, copies: int) -> None:
        super().__init__()
        self.copies, self.total = copies, 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        """Return func(*args, **kwargs), after counting the memory of the tensor that it makes."""
        kwargs = kwargs or {}
        if func in MAKERS and str(kwargs.get("device")) != "meta":
            size = kwargs.get("size", args if args and isinstance(args[0], int) else args[0] if args else ())
            kind = torch.empty(0, dtype=kwargs.get("dtype")).dtype  # also for Python's bool, int and float
            self._count(list(size), kind)
        return func(*args, **kwargs)

    def _count(self, size: list[int], dtype: torch.dtype) -> None:
        taken = math.prod(size) * dtype.itemsize
        self.total += taken
        if self.copies * self.total > memory():
            numbers = f"{' × '.join(f'{n:,}' for n in size if n != 1)} {str(dtype).removeprefix('torch.')} numbers"
            before = f" in addition to {gib(self.total - taken)} of others" if self.total > 1.1 * taken else ""
            copies = f", {self.copies} times that with gradients and Adam's moments" if self.copies > 1 else ""
            raise UnsupportedSpaceError(
                f"the networks are too large: a table or layer of {numbers} takes {gib(taken)}{before}{copies}, and "
                f"this machine has {gib(memory())}; make the spaces or the layers smaller"
            )


def gib(count: float) -> str:
    """Return a number of bytes as a string in GiB."""
    return f"{count / GIB:,.0f} GiB" if count >= 10 * GIB else f"{count / GIB:.2g} GiB"


def memory() -> float:
    """Return how many bytes of memory this machine has; infinity if unknown."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return math.inf
