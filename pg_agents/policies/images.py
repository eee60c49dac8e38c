"""Images → features: a convolutional network for whatever in an observation is an image."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from torch import Tensor, nn

from pg_agents.policies.unsupported import UnsupportedSpaceError

# For images whose smaller side has at least so many pixels: layers of (channels, kernel, stride), and features.
LAYERS: tuple[tuple[int, tuple[tuple[int, int, int], ...], int], ...] = (
    (36, ((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512),
    (16, ((32, 4, 2), (64, 3, 2), (64, 3, 1)), 256),
    (7, ((32, 3, 1), (64, 3, 2)), 128),
)
SMALLEST = LAYERS[-1][0]
LARGEST = 1e6  # bounds beyond which nobody would have had a pixel's range in mind


def channel_axis(space: gym.Space) -> int | None:
    """Return which axis of an image holds its channels, 0 or 2; None where the space is not one of images.

    A Box of rank 3 is one of images if its first or its last axis (the channels) is smaller than both others, and if

    - its numbers are bytes, uint8 between 0 and 255; or
    - they are real, with 1, 3 or 4 channels and at least 7 pixels a side.
    """
    if not isinstance(space, spaces.Box) or len(space.shape) != 3:
        return None
    axis = 0 if space.shape[0] < space.shape[2] else 2
    channels, smaller = space.shape[axis], min(space.shape[1], space.shape[2 - axis])
    if np.issubdtype(space.dtype, np.floating):
        image = channels in (1, 3, 4) and smaller >= SMALLEST
    else:
        image = space.dtype == np.uint8 and space.low.max() == 0 and space.high.min() == 255
    return axis if image and channels < smaller else None


class ImageEncoder(nn.Module):
    """Turn images [..., H, W, C] or [..., C, H, W] into features [..., size].

    Where the space has bounds (below a million), pixels are scaled from them to 0 … 1. Where the smaller side has 36
    pixels or more, the layers are those of Mnih et al. (2015): 32 channels of 8×8 by strides of 4, 64 of 4×4 by 2, 64
    of 3×3, 512 features; smaller images get smaller kernels and fewer features. Rectified; weights orthogonal, gain √2.

    Args:
        space: of one image; see `channel_axis`.

    Raises:
        UnsupportedSpaceError: an image of less than 7 pixels a side.
    """

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        self.axis = channel_axis(space)
        assert self.axis is not None, space
        channels = space.shape[self.axis]
        height, width = (size for axis, size in enumerate(space.shape) if axis != self.axis)
        smaller = min(height, width)
        if smaller < SMALLEST:
            raise UnsupportedSpaceError(
                f"observation space {space}: images of {height}×{width} pixels are too small for the convolutional "
                f"network, which needs {SMALLEST}×{SMALLEST}; enlarge them (gymnasium.wrappers.ResizeObservation), "
                "flatten them (gymnasium.wrappers.FlattenObservation), or pass policy=... and critic=..."
            )
        low, high = float(space.low.min()), float(space.high.max())
        self.low, self.width = (low, high - low) if max(-low, high) < LARGEST and low < high else (0.0, 1.0)
        convolutions, self.size = next((layers, size) for least, layers, size in LAYERS if smaller >= least)
        self.network = _network(channels, height, width, convolutions, self.size)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of images [..., *space.shape]."""
        leading = images.shape[:-3]
        images = images.reshape(-1, *images.shape[-3:])
        if self.axis == 2:
            images = images.permute(0, 3, 1, 2)
        pixels = images.to(next(self.network.parameters()).dtype)
        if (self.low, self.width) != (0, 1):
            pixels = (pixels - self.low if self.low else pixels) * (1 / self.width)
        return self.network(pixels).reshape(*leading, self.size)


def _network(
    channels: int, height: int, width: int, convolutions: tuple[tuple[int, int, int], ...], size: int
) -> nn.Sequential:
    """Return the network, whose last layer is as wide as the image needs."""
    layers: list[nn.Module] = []
    for outputs, kernel, stride in convolutions:
        layers += [nn.Conv2d(channels, outputs, kernel, stride), nn.ReLU()]
        channels, height, width = outputs, (height - kernel) // stride + 1, (width - kernel) // stride + 1
    layers += [nn.Flatten(), nn.Linear(channels * height * width, size), nn.ReLU()]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.orthogonal_(layer.weight, 2**0.5)
            nn.init.constant_(layer.get_parameter("bias"), 0.0)
    return nn.Sequential(*layers)
