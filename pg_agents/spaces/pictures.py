"""What counts as a picture among the boxes that environments show, and what is done with the numbers of the others."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

SMALLEST = 7  # pixels a side that a convolutional network needs
CERTAIN = 36  # pixels a side from which on real numbers are taken for pixels, in any number of channels
LARGEST = 1e6  # bounds beyond which nobody would have had a pixel's range in mind


class Picture(NamedTuple):
    """Which axes of a picture are which.

    Attributes:
        axis: of the channels, −1 or −3; None: it has no such axis, of rank 2.
        stacked: frames that stand in front, one axis or more: their channels are those of one picture.
        channels: of a frame.
        height: in pixels.
        width: in pixels.
    """

    axis: int | None
    stacked: int
    channels: int
    height: int
    width: int


class Plain(spaces.Box):
    """A Box of numbers that are no pixels, and are taken as they are, as earlier versions took them."""


def picture_of(space: gym.Space) -> Picture | None:
    """Return how a space is one of pictures, in each shape that Gymnasium's wrappers give them; None: it is not.

    The shapes are H×W, H×W×C and C×H×W, whichever of the first and the last axis is smaller, and S×H×W×C or S×C×H×W,
    frames one after the other. There are fewer channels than pixels a side, and the numbers are

    - bytes, uint8 between 0 and 255; of rank 2 with at least 7 pixels a side; or
    - real, with 1, 3 or 4 channels and at least 7 pixels a side, or of any kind with at least 36.
    """
    if not isinstance(space, spaces.Box) or isinstance(space, Plain) or len(space.shape) < 2:
        return None
    real = np.issubdtype(space.dtype, np.floating)
    if not real and not (
        space.dtype == np.uint8 and space.low.max(initial=0) == 0 and space.high.min(initial=255) == 255
    ):
        return None
    if len(space.shape) == 2:
        found = Picture(None, 1, 1, *space.shape)
        return found if min(space.shape) >= (CERTAIN if real else SMALLEST) else None
    *stack, first, middle, last = space.shape
    if first < last:
        found = Picture(-3, math.prod(stack), first, middle, last)
    else:
        found = Picture(-1, math.prod(stack), last, first, middle)
    smaller = min(found.height, found.width)
    sure = not real or smaller >= CERTAIN or (found.channels in (1, 3, 4) and smaller >= SMALLEST)
    return found if sure and found.channels < smaller else None


def range_of(space: gym.Space) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the least numbers and the ranges that whole numbers are scaled by, to 0 … 1; None: they are as they are.

    They are scaled where they have bounds, below a million and beyond −1 … 1: bytes would saturate a first layer.
    """
    if not isinstance(space, spaces.Box) or isinstance(space, Plain) or not np.issubdtype(space.dtype, np.integer):
        return None
    low, high = (bound.astype(np.float64).ravel() for bound in (space.low, space.high))
    largest = np.maximum(np.abs(low), np.abs(high)).max(initial=0.0)
    return (low, np.where(high > low, high - low, 1.0)) if 1 < largest < LARGEST else None


def as_before(space: Any) -> Any:  # noqa: ANN401
    """Return the space as versions saw it that scaled nothing and knew pictures of rank 3 only."""
    if isinstance(space, spaces.Dict):
        return spaces.Dict([(key, as_before(part)) for key, part in space.items()])
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple([as_before(part) for part in space.spaces])
    if not isinstance(space, spaces.Box):
        return space
    found = picture_of(space)
    known = found is not None and len(space.shape) == 3 and (space.dtype == np.uint8 or found.channels in (1, 3, 4))
    return space if known else Plain(space.low, space.high, dtype=space.dtype.type)
