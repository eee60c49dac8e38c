"""Copies from the processor's memory to a GPU's, for which Python does not wait."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pg_agents.data.tree import Tree, tree_map

MOST = 2**28  # bytes of a pinned buffer: it is no longer swapped, and torch keeps it for the next one


def on_device(tree: Tree, device: torch.device | str) -> Tree:
    """Return a tree's arrays and tensors as tensors on a device; those that are there already as they are.

    A GPU fetches from pinned memory by itself. So what goes there is first copied into a new pinned buffer: the array
    may be overwritten at once, as environments do, and torch uses the buffer again only once it was fetched. Copies to
    the processor are waited for, as are large ones, and those of tensors that somebody else has pinned.

    Args:
        tree: arrays and tensors; on the processor the tensor of an array shares its memory.
        device: the device.
    """
    target = torch.device(device)
    return tree_map(lambda leaf: _moved(torch.from_numpy(leaf) if isinstance(leaf, np.ndarray) else leaf, target), tree)


def _moved(tensor: Tensor, target: torch.device) -> Tensor:
    return _fetched(tensor, target) if _goes_to_gpu(tensor, target) else tensor.to(target)


def _goes_to_gpu(tensor: Tensor, target: torch.device) -> bool:
    """Return whether a tensor is copied by way of a pinned buffer."""
    if target.type != "cuda" or tensor.device.type != "cpu" or tensor.requires_grad:
        return False
    return 0 < tensor.nbytes <= MOST and not tensor.is_pinned()


def _fetched(tensor: Tensor, target: Any) -> Tensor:  # noqa: ANN401
    buffer = torch.empty_like(tensor, pin_memory=True)  # of the same layout in memory
    return buffer.copy_(tensor).to(target, non_blocking=True)
