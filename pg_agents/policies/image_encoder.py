"""A convolutional network: images → features."""

from __future__ import annotations

import torch
from gymnasium import spaces
from torch import Tensor, nn

from pg_agents._fast.pictures import to_floats
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.spaces.pictures import LARGEST, SMALLEST, picture_of

# (least pixels of the smaller side, layers of (channels, kernel, stride), number of features)
LAYERS: tuple[tuple[int, tuple[tuple[int, int, int], ...], int], ...] = (
    (36, ((32, 8, 4), (64, 4, 2), (64, 3, 1)), 512),
    (16, ((32, 4, 2), (64, 3, 2), (64, 3, 1)), 256),
    (7, ((32, 3, 1), (64, 3, 2)), 128),
)


CHUNK = 256  # images that are encoded at once where nothing is learned, so that their features stay in the cache


class ImageEncoder(nn.Module):
    """Turn pictures into features [..., size]; stacked frames become channels of one picture.

    Pixels with bounds below a million are scaled to 0 … 1. If the smaller side has 36 pixels or more, the layers are
    those of Mnih et al. (2015): 32 channels of 8×8 with stride 4, 64 of 4×4 with stride 2, 64 of 3×3, 512 features;
    smaller images get smaller kernels and fewer features. Activations are ReLU; weights are orthogonal with gain √2.
    In memory the channels of a pixel lie side by side; see `_fast/pictures.py` for what that saves.

    Args:
        space: the space of one picture; see `pictures.picture_of`.

    Raises:
        UnsupportedSpaceError: a side has fewer than 7 pixels.
    """

    def __init__(self, space: spaces.Box) -> None:
        super().__init__()
        picture = picture_of(space)
        assert picture is not None, space
        self.axis, stacked, channels, height, width = picture
        self.rank, self.stacked, self.channels = len(space.shape), stacked, stacked * channels
        smaller = min(height, width)
        if smaller < SMALLEST:
            raise UnsupportedSpaceError(
                f"observation space {space}: images of {height}×{width} pixels are too small for the convolutional "
                f"network, which needs {SMALLEST}×{SMALLEST}; enlarge them with gymnasium.wrappers."
                "ResizeObservation (--wrapper 'ResizeObservation:shape=[84,84]') or flatten them with its "
                "FlattenObservation (--wrapper FlattenObservation); or, in Python, pass policy=... and critic=..."
            )
        low, high = float(space.low.min()), float(space.high.max())
        self.low, self.width = (low, high - low) if max(-low, high) < LARGEST and low < high else (0.0, 1.0)
        convolutions, self.size = next((layers, size) for least, layers, size in LAYERS if smaller >= least)
        self.network = _network(self.channels, height, width, convolutions, self.size)

    def forward(self, images: Tensor) -> Tensor:
        """Return the features of images [..., *space.shape]."""
        leading = images.shape[: images.ndim - self.rank]
        pictures = self._channels_first(images)
        if torch.is_grad_enabled() or len(pictures) <= CHUNK:
            features = self._features(pictures)
        else:
            features = torch.cat([self._features(part) for part in pictures.split(CHUNK)])
        return features.reshape(*leading, self.size)

    def _channels_first(self, images: Tensor) -> Tensor:
        """Return the images as [N, channels, H, W], bytes as bytes."""
        if self.axis == -1:
            frames = images.reshape(-1, self.stacked, *images.shape[-3:])
            return frames.permute(0, 1, 4, 2, 3).flatten(1, 2)
        return images.reshape(-1, self.channels, *images.shape[-2:])

    def _features(self, pictures: Tensor) -> Tensor:
        return self.network(to_floats(pictures, next(self.network.parameters()).dtype, self.low, self.width))


def _network(
    channels: int, height: int, width: int, convolutions: tuple[tuple[int, int, int], ...], size: int
) -> nn.Sequential:
    """Return the network for images of a size."""
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
