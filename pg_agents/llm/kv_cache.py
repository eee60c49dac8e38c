"""Caches of attention's keys and values, in the form that transformers' layers read and write."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional


class PrefillCache:
    """The cache passed to a model that reads texts from their start: it keeps each layer's keys and values."""

    def __init__(self) -> None:
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return 0, the number of tokens read before."""
        return 0

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        """Keep a layer's keys and values, [N, H, T, D] each, and return them."""
        self.keys.append(keys)
        self.values.append(values)
        return keys, values


class TokenCache:
    """The tokens that were read in each row, every layer's keys and values, and the logits of the next token.

    Rows whose window does not continue the cached tokens (a new episode, a window that slid) are read again, and all
    rows after the parameters have changed; rows whose window has not changed are not computed. The cache carries no
    other information.

    Attributes:
        version: the version of the parameters with which it was computed.
        tokens: int64 [B, W]; −1 at positions not read.
        keys: of each layer, [B, H, w, D], with a capacity w ≤ W that grows.
        values: of each layer, [B, H, w, D].
        logits: [B, V]; never changed in place, as distributions hold them.
    """

    def __init__(self, version: int, like: Tensor) -> None:
        self.version = version
        self.tokens = torch.full_like(like, -1)
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.logits = like.new_zeros(0)

    def store(self, rows: Tensor, reading: PrefillCache, source: Tensor) -> None:
        """Store keys and values of prefilled texts: those of text source[i] in rows[i]."""
        if not self.keys:
            self.keys = [part.new_zeros(len(self.tokens), *part.shape[1:]) for part in reading.keys]
            self.values = [part.new_zeros(len(self.tokens), *part.shape[1:]) for part in reading.values]
        width = reading.keys[0].shape[2]
        self.make_room(width)
        for mine, read in zip((*self.keys, *self.values), (*reading.keys, *reading.values), strict=True):
            mine[rows, :, :width] = read[source]

    def make_room(self, width: int) -> None:
        """Grow the capacity to `width` tokens or to twice the current capacity, so that growing is rare."""
        room = self.keys[0].shape[2]
        if width > room:
            more = min(max(width, 2 * room), self.tokens.shape[1]) - room
            self.keys = [functional.pad(part, (0, 0, 0, more)) for part in self.keys]
            self.values = [functional.pad(part, (0, 0, 0, more)) for part in self.values]

    def keep_logits(self, rows: Tensor, logits: Tensor) -> None:
        """Keep the logits [n, V] of `rows`."""
        if len(rows) == len(self.tokens):
            self.logits = logits
            return
        old = self.logits if len(self.logits) else logits.new_zeros(len(self.tokens), logits.shape[1])
        self.logits = old.index_copy(0, rows, logits)


class DecodeCache:
    """The cache passed to a model that reads one token of each of `rows` at its `position`, int64 [n] each."""

    def __init__(self, cache: TokenCache, rows: Tensor, position: Tensor) -> None:
        self.cache, self.rows, self.position = cache, rows, position
        self.width = width = int(position.max()) + 1
        cache.make_room(width)
        self.all = len(rows) == len(cache.tokens)
        self.alike = self.all and bool((position == width - 1).all())  # then one slice of memory is written

    @property
    def visible(self) -> Tensor:
        """Which places each new token sees, its own and those before, bool [n, width]."""
        return torch.arange(self.width, device=self.position.device) <= self.position[:, None]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of tokens read before in the longest row."""
        return self.width - 1

    def update(self, keys: Tensor, values: Tensor, layer_idx: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        """Write a layer's keys and values of the new tokens, [n, H, 1, D], and return those of the texts so far."""
        return self._write(self.cache.keys[layer_idx], keys), self._write(self.cache.values[layer_idx], values)

    def _write(self, stored: Tensor, new: Tensor) -> Tensor:
        if self.alike:
            stored[:, :, self.width - 1 : self.width] = new
        else:
            stored[self.rows, :, self.position] = new[:, :, 0]
        texts = stored[:, :, : self.width]
        return texts if self.all else texts[self.rows]
