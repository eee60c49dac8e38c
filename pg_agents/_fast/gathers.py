"""Arrays dealt out in parts, in another order.

`index_select` copies whole rows, where indexing computes the place of every number, in 3 to 20 times as long.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

LARGE = 2**20  # bytes, beyond which a gather costs no more for being made in parts


def deal_out(leaf: Tensor, order: Tensor, ends: Sequence[int]) -> Iterator[Tensor]:
    """Yield leaf[order], parted at `ends`: one gather, of which all parts are views; of pictures one part at a time."""
    if leaf.nbytes > LARGE:
        yield from plain_deal_out(leaf, order, ends)
        return
    shuffled = leaf.index_select(0, order)
    for low, high in pairwise(ends):
        yield shuffled[low:high]


def plain_deal_out(leaf: Tensor, order: Tensor, ends: Sequence[int]) -> Iterator[Tensor]:
    """Yield leaf[order], parted at `ends`: a gather for each part."""
    for low, high in pairwise(ends):
        yield leaf.index_select(0, order[low:high])
