"""Which Box observations are pictures, and how the integers of the others are scaled."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

SMALLEST = 7  # pixels per side that the convolutional network needs
CERTAIN = 36  # pixels per side from which real numbers with any number of channels count as a picture
LARGEST = 1e6  # bounds beyond this are too wide to be the range of a pixel or a level


class Picture(NamedTuple):
    """The layout of a picture's axes.

    Attributes:
        axis: the axis of the channels, −1 or −3; None for a picture of rank 2, which has no such axis.
        stacked: the number of stacked frames (the product of the leading axes), whose channels are concatenated.
        channels: the number of channels of one frame.
        height: in pixels.
        width: in pixels.
    """

    axis: int | None
    stacked: int
    channels: int
    height: int
    width: int


class Plain(spaces.Box):
    """A Box whose numbers are neither pixels nor scaled, as earlier versions treated every Box."""


def picture_of(space: gym.Space) -> Picture | None:
    """Return the layout of a space of pictures, in any shape that Gymnasium's wrappers make; None for other spaces.

    The shapes are H×W; H×W×C or C×H×W, where the smaller of the first and the last axis is C; and S×H×W×C or S×C×H×W,
    stacked frames. There are fewer channels than pixels per side, and the numbers are

    - bytes, uint8 between 0 and 255; at rank 2, at least 7 pixels per side; or
    - real, with 1, 3 or 4 channels and at least 7 pixels per side, or any channels and at least 36 pixels per side.
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
    """Return (low, range) by which the integers of a space are scaled to 0 … 1; None where they are not scaled.

    They are scaled where their bounds reach beyond −1 … 1 and stay below a million: bytes would saturate a first layer.
    """
    if not isinstance(space, spaces.Box) or isinstance(space, Plain) or not np.issubdtype(space.dtype, np.integer):
        return None
    low, high = (bound.astype(np.float64).ravel() for bound in (space.low, space.high))
    largest = np.maximum(np.abs(low), np.abs(high)).max(initial=0.0)
    return (low, np.where(high > low, high - low, 1.0)) if 1 < largest < LARGEST else None


def as_before(space: Any) -> Any:  # noqa: ANN401
    """Return the space as the first version treated it: nothing scaled, and pictures of rank 3 only."""
    if isinstance(space, spaces.Dict):
        return spaces.Dict([(key, as_before(part)) for key, part in space.items()])
    if isinstance(space, spaces.Tuple):
        return spaces.Tuple([as_before(part) for part in space.spaces])
    if not isinstance(space, spaces.Box):
        return space
    found = picture_of(space)
    known = found is not None and len(space.shape) == 3 and (space.dtype == np.uint8 or found.channels in (1, 3, 4))
    return space if known else Plain(space.low, space.high, dtype=space.dtype.type)
