"""The observations of texts, stored once instead of at every step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pg_agents.data.devices import on_device


@dataclass(frozen=True)
class TokenBlock:
    """The observations of append-only token episodes, stored once instead of T times.

    Observation t of row b is tokens[b, : lengths[t, b]] (after the row's end: its last observation).

    Attributes:
        tokens: prompt, completion and padding of each row, int64 [B, W].
        lengths: the number of tokens that the policy saw at each step, int64 [T, B].
        mask: where a decision was taken, bool [T, B], so that nothing is computed elsewhere; None: everywhere.
    """

    tokens: Tensor
    lengths: Tensor
    mask: Tensor | None = None

    def windows(self) -> dict[str, Tensor]:
        """Return the stacked observations {"tokens": [T, B, W], "length": [T, B]}; tokens beyond the length are 0."""
        position = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        visible = position < self.lengths[..., None]  # [T, B, W]
        return {"tokens": self.tokens * visible, "length": self.lengths}

    def to(self, device: torch.device | str) -> TokenBlock:
        """Return a copy on `device`."""
        mask = None if self.mask is None else on_device(self.mask, device)
        return TokenBlock(on_device(self.tokens, device), on_device(self.lengths, device), mask)
