"""Packs completions with equal prompts into one sequence behind one copy of the prompt."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from torch import Tensor

from pg_agents.data.rollout import TokenBlock
from pg_agents.llm.reach import Limit

ROOM = 256  # completion tokens in a sequence, or as many as its prompt has: attention's cost is quadratic in them


@dataclass(frozen=True)
class Packs:
    """K sequences of S tokens: a prompt, then completions that do not attend to each other.

    Attributes:
        tokens: int64 [K, S].
        positions: the position of each token in its own text, int64 [K, S].
        texts: the completion that a token belongs to, int64 [K, S]; 0: the prompt, −1: padding.
        decisions: the indices in K · S of the N decisions, int64 [N], ordered by step.
    """

    tokens: Tensor
    positions: Tensor
    texts: Tensor
    decisions: Tensor

    def attention_mask(self, dtype: torch.dtype) -> Tensor:
        """Return the additive attention mask, [K, 1, S, S]: 0 for earlier tokens of the prompt or of the same text."""
        query, key = self.texts[:, :, None], self.texts[:, None]
        before = self.positions[:, None] <= self.positions[:, :, None]
        return additive(before & ((key == 0) | (key == query)), dtype)[:, None]


def additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """Return an additive attention mask: 0 where `visible`, else the least number of `dtype`."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(~visible, torch.finfo(dtype).min)


def visible_windows(tokens: Tensor, length: Tensor) -> Tensor:
    """Return windows [B, W] with −1 at positions beyond their length [B]."""
    return torch.where(torch.arange(tokens.shape[1], device=tokens.device) < length[:, None], tokens, -1)


def pack(block: TokenBlock, longest: Limit | None = None) -> Packs:
    """Return the texts of a block in sequences, each with a prompt and as many of its completions as fit.

    Texts without a decision are left out, and tokens after the last decision too.

    Args:
        block: texts of at most `longest` tokens.
        longest: the most tokens of a sequence; None: any number.
    """
    taken = torch.ones_like(block.lengths, dtype=torch.bool) if block.mask is None else block.mask
    prompt = block.lengths[0]  # [B]
    extra = ((block.lengths * taken).amax(0) - prompt).clamp(min=0)  # the number of completion tokens to read
    used = taken.any(0).nonzero().squeeze(1)
    _, same = visible_windows(block.tokens[used], prompt[used]).unique(dim=0, return_inverse=True)
    sequence, offset, leaders = _places(used, same, prompt, extra, longest.tokens if longest else sys.maxsize)
    size = int((offset + extra)[used].max())

    shape = (len(leaders), size)
    tokens, positions = prompt.new_zeros(shape), prompt.new_zeros(shape)
    texts = prompt.new_full(shape, -1)
    row, step = _ragged(leaders, prompt)
    at = sequence[row], step
    tokens[at], positions[at], texts[at] = block.tokens[row, step], step, 0
    row, step = _ragged(used, extra)
    at = sequence[row], offset[row] + step
    tokens[at], positions[at], texts[at] = block.tokens[row, prompt[row] + step], prompt[row] + step, row + 1

    last = block.lengths - 1  # the position of the last token before a decision, [T, B]
    column = torch.where(last < prompt, last, last - prompt + offset)
    return Packs(tokens, positions, texts, (sequence * size + column)[taken])


def _places(used: Tensor, same: Tensor, prompt: Tensor, extra: Tensor, longest: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return each text's sequence and the offset of its completion there, [B] each, and each sequence's first text."""
    sequence, offset, leaders = torch.zeros_like(prompt), prompt.clone(), []
    kind, filled = -1, 0
    lengths, sizes = prompt.tolist(), extra.tolist()
    even = int(1.25 * int(extra[used].sum()) / (int(same.max()) + 1))  # all sequences are padded to the longest
    order = same.argsort(stable=True)
    for row, group in zip(used[order].tolist(), same[order].tolist(), strict=True):
        if group != kind or filled + sizes[row] > min(max(ROOM, lengths[row]), even, longest - lengths[row]):
            leaders.append(row)
            kind, filled = group, 0
        sequence[row], offset[row] = len(leaders) - 1, lengths[row] + filled
        filled += sizes[row]
    return sequence, offset, torch.tensor(leaders, device=prompt.device)


def _ragged(rows: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Return (row, step) for each step below count[row] of each of `rows`, two vectors."""
    counts = count[rows]
    first = (counts.cumsum(0) - counts).repeat_interleave(counts)
    return rows.repeat_interleave(counts), torch.arange(len(first), device=rows.device) - first
