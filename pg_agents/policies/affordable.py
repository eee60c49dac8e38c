"""Networks that this machine's memory holds, known before they are made."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from pg_agents.errors import UnsupportedSpaceError

MAKERS = (torch.empty, torch.zeros, torch.ones, torch.full)  # what parameters are made by
GIB = 2**30


class Affordable(TorchFunctionMode):
    """A context in which tensors that together take more than this machine's memory are refused, not tried.

    An operating system that promises more than it has would end the process later, without a word.

    Args:
        copies: how many of each there are to be: 4 with a gradient and Adam's two moments.

    Raises:
        UnsupportedSpaceError: at the first tensor too many; the message has the arithmetic.
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
        """Call `func`, having counted what it makes."""
        kwargs = kwargs or {}
        if func in MAKERS and str(kwargs.get("device")) != "meta":
            size = kwargs.get("size", args if args and isinstance(args[0], int) else args[0] if args else ())
            kind = torch.empty(0, dtype=kwargs.get("dtype")).dtype  # Python's bool, int and float are given, too
            self._count(list(size), kind)
        return func(*args, **kwargs)

    def _count(self, size: list[int], dtype: torch.dtype) -> None:
        taken = math.prod(size) * dtype.itemsize
        self.total += taken
        if self.copies * self.total > memory():
            numbers = f"{' × '.join(f'{n:,}' for n in size if n != 1)} {str(dtype).removeprefix('torch.')} numbers"
            before = f" beside {gib(self.total - taken)} of others" if self.total > 1.1 * taken else ""
            copies = f", {self.copies} times that with gradients and Adam's moments" if self.copies > 1 else ""
            raise UnsupportedSpaceError(
                f"the networks are too large: a table or layer of {numbers} takes {gib(taken)}{before}{copies}, and "
                f"this machine has {gib(memory())}; make the spaces or the layers smaller"
            )


def gib(count: float) -> str:
    """Return a number of bytes as a text in GiB."""
    return f"{count / GIB:,.0f} GiB" if count >= 10 * GIB else f"{count / GIB:.2g} GiB"


def memory() -> float:
    """Return how many bytes of memory this machine has; infinitely many where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not on Windows
        return math.inf
