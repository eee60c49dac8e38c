"""Windows of tokens that grow, as tensors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class TokenWindows:
    """Append-only windows of tokens as a tensor on a device, updated by the newest token of each row.

    Only new tokens, and whole rows in which an episode begins, are copied to the device. Up to each row's length the
    windows are those of `PlainTokenWindows`, bit for bit; tokens behind it are not read by any policy.

    Args:
        device: the tensor's device.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.length = np.zeros(0, np.int64)
        self.tokens = torch.zeros(0, 0, dtype=torch.int64)

    def read(
        self, observation: Mapping[str, NDArray[np.int64]], episode_starts: NDArray[np.bool_]
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """Return the windows, a tensor [B, W] that the next call overwrites, and a copy of their lengths, [B]."""
        tokens, length = observation["tokens"], np.array(observation["length"])
        if self.tokens.shape != tokens.shape:
            self.tokens = torch.from_numpy(np.array(tokens)).to(self.device)
            self.length = length
            return self.tokens, length
        anew = np.flatnonzero(episode_starts | (length < self.length) | (length > self.length + 1))
        if anew.size:
            self.tokens[self._tensor(anew)] = self._tensor(tokens[anew])
        rows, last = np.arange(len(length)), length - 1
        self.tokens[self._tensor(rows), self._tensor(last)] = self._tensor(tokens[rows, last])
        self.length = length
        return self.tokens, length

    def _tensor(self, array: NDArray[np.int64]) -> Tensor:
        return torch.from_numpy(array).to(self.device)


class PlainTokenWindows(TokenWindows):
    """Windows of tokens as a tensor, copied whole at every step."""

    def read(
        self, observation: Mapping[str, NDArray[np.int64]], episode_starts: NDArray[np.bool_]
    ) -> tuple[Tensor, NDArray[np.int64]]:
        """Return the windows, a tensor [B, W], and their lengths, [B]."""
        return self._tensor(np.array(observation["tokens"])), np.array(observation["length"])
