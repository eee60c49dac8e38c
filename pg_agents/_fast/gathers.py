"""Arrays dealt out in parts, in another order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor


def deal_out(leaf: Tensor, order: Tensor, ends: Sequence[int]) -> list[Tensor]:
    """Return leaf[order], parted at `ends`: one gather, of which all parts are views."""
    shuffled = leaf[order]
    return [shuffled[low:high] for low, high in pairwise(ends)]


def plain_deal_out(leaf: Tensor, order: Tensor, ends: Sequence[int]) -> list[Tensor]:
    """Return leaf[order], parted at `ends`: a gather for each part."""
    return [leaf[order[low:high]] for low, high in pairwise(ends)]
