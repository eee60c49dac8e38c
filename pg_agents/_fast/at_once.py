"""A function of few numbers, computed for many of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Arrays = Sequence[Tensor]


def of_all(function: Callable[..., Tensor], several: Sequence[Arrays]) -> Tensor:
    """Return what the function makes of each of n lists of arrays, [n, …]; one call takes as long as one of them alone.

    Args:
        function: of arrays […, T, B] → […].
        several: n lists of arrays […, T, B], alike in shape.
    """
    arrays = [torch.stack(column) for column in zip(*several, strict=True)]
    *leading, steps, columns = arrays[0].shape
    return function(*(array.view(-1, steps, columns) for array in arrays)).view(leading)


def plain_of_all(function: Callable[..., Tensor], several: Sequence[Arrays]) -> Tensor:
    """Return what the function makes of each of n lists of arrays, [n, …]."""
    return torch.stack([function(*arrays) for arrays in several])
