"""Rollouts of several processes ("ranks"), of which each has collected its own columns.

What is learned from is the whole, the columns of all ranks side by side. Its numbers (rewards, masks, values), a few
bytes for each step, are known to all ranks; observations and memories stay where they are. What is computed from
numbers (advantages, weights, groups) is then that of one process which has collected the whole, and a loss is a sum, of
which each rank adds up its own columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
from torch import Tensor

NUMBERS = (
    *("log_probs", "rewards", "terminated", "truncated", "mask", "episode_starts", "times", "reference_log_probs"),
    *("weights", "advantages", "targets"),
)  # of a rollout or a batch, [T, B]
EPISODES = "episode_returns", "episode_lengths"


class Ranks(Protocol):
    """The processes that learn together. All call the same methods in the same order."""

    number: int  # of this one, from 0
    count: int

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the ranks, in place; its bits are the same on all of them."""

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensor of each rank, in order; their shapes may differ."""


class OneRank:
    """A process that learns alone."""

    number, count = 0, 1

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Leave the tensors as they are, the sums over one."""

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the tensor alone."""
        return [tensor]


ALONE = OneRank()


@dataclass(frozen=True)
class Share:
    """Which columns of a whole are one's own.

    Attributes:
        ranks: the processes that share the whole.
        columns: the columns of the whole that are one's own, int64 [b].
        weights: of a batch whose numbers are one's own: the weights of the whole, [T, B]; None: it knows no whole.
    """

    ranks: Ranks
    columns: Tensor
    weights: Tensor | None = None

    def whole(self, values: Tensor) -> Tensor:
        """Return values of one's own columns, [t, b, …], beside those of the others, [T, B, …]; 0 in missing rows."""
        return _side_by_side(self.ranks.gather(values))

    def total(self, values: Tensor) -> Tensor:
        """Return the sum of the values of all ranks."""
        values = values.clone()
        self.ranks.add([values])
        return values

    def order(self, order: Tensor, ends: Sequence[int]) -> tuple[Tensor, list[int]]:
        """Return which of one's own steps are in an order of all steps, and where its parts end.

        Args:
            order: places in the whole, t · B + column, int64 [n].
            ends: where parts of it end, from 0 to n.

        Returns:
            places in one's own arrays, t · b + column, int64 [n'], and the ends of the same parts.
        """
        assert self.weights is not None
        total = self.weights.shape[-1]
        mine = self.places[order % total]
        kept = mine >= 0
        before = torch.cat([kept.new_zeros(1, dtype=torch.int64), kept.cumsum(0)])
        return (order // total * len(self.columns) + mine)[kept], before[torch.tensor(ends)].tolist()

    @property
    def places(self) -> Tensor:
        """The own column that each column of the whole is, int64 [B]; −1: another rank's."""
        assert self.weights is not None
        places = torch.full((self.weights.shape[-1],), -1, device=self.columns.device)
        places[self.columns] = torch.arange(len(self.columns), device=self.columns.device)
        return places


def whole_of(rollout: Any, ranks: Ranks) -> Any:  # noqa: ANN401
    """Return the rollout of all ranks, given one's own; the rollout itself if there is one rank, or it is whole.

    Its numbers and its episodes are those of all, in the order of ranks; see `Rollout.share`.
    """
    if ranks.count == 1 or rollout.share is not None:
        return rollout
    names = [*_numbers(rollout), *EPISODES]
    groups = [] if rollout.group_ids is None else [rollout.group_ids]
    texts = "".join(f"{text}\0" for text in rollout.stop_reasons).encode()
    several = [*(getattr(rollout, name) for name in names), torch.tensor(list(texts), dtype=torch.uint8), *groups]
    of_each = dict(zip([*names, "stop_reasons", "group_ids"], gathered(ranks, several), strict=False))
    widths = [part.shape[1] for part in of_each["mask"]]
    first = sum(widths[: ranks.number])
    share = Share(ranks, torch.arange(first, first + widths[ranks.number], device=rollout.mask.device))
    how: dict[str, Callable[..., Any]] = {"stop_reasons": _texts, "group_ids": _apart}
    how |= dict.fromkeys(EPISODES, torch.cat)
    values = {name: how.get(name, _side_by_side)(parts) for name, parts in of_each.items()}
    return replace(rollout, **values, share=share)


def gathered(ranks: Ranks, tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Return for each tensor those of all ranks, in order, by one message of all; on its device.

    Its shape may differ between ranks, not its number of dimensions.
    """
    sizes = torch.tensor([size for tensor in tensors for size in tensor.shape], dtype=torch.int64)
    device = tensors[0].device
    parts = ranks.gather(torch.cat([_bytes(tensor).to(device) for tensor in (sizes, *tensors)]))
    return [list(one) for one in zip(*(_unpacked(part, tensors) for part in parts), strict=True)]


def _unpacked(message: Tensor, like: Sequence[Tensor]) -> Iterator[Tensor]:
    """Yield the tensors of a message, which are of the dtypes, dimensions and devices of others."""
    end = 8 * sum(tensor.ndim for tensor in like)
    sizes = iter(message[:end].clone().view(torch.int64).tolist())
    for tensor in like:
        shape = [next(sizes) for _ in range(tensor.ndim)]
        begin, end = end, end + math.prod(shape) * tensor.itemsize
        yield message[begin:end].clone().view(tensor.dtype).view(shape).to(tensor.device)


def _bytes(tensor: Tensor) -> Tensor:
    return tensor.detach().clone(memory_format=torch.contiguous_format).view(-1).view(torch.uint8)


def own(data: Any) -> Any:  # noqa: ANN401
    """Return the own columns of a whole rollout, as it was before `whole_of`; of a batch with the whole's weights."""
    if data.share is None:
        return data
    rows, columns = len(data.actions), data.share.columns
    values = {name: getattr(data, name)[:rows].index_select(1, columns) for name in _numbers(data)}
    weights = getattr(data, "weights", None)
    share = None if weights is None else replace(data.share, weights=weights)
    return replace(data, **values, share=share)


def _numbers(data: Any) -> list[str]:  # noqa: ANN401
    names = {one.name for one in fields(data)}
    return [name for name in NUMBERS if name in names and getattr(data, name) is not None]


def _side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """Return the columns of all ranks, [T, B, …], of [t, b, …]; 0 in missing rows."""
    rows = max(map(len, parts))
    return torch.cat([torch.cat([part, part.new_zeros(rows - len(part), *part.shape[1:])]) for part in parts], 1)


def _apart(groups: Sequence[Tensor]) -> Tensor:
    """Return the group ids of all ranks, in which no two ranks share a number."""
    found, first = [], 0
    for ids in groups:
        found.append(ids - ids.min() + first)
        first = int(found[-1].max()) + 1
    return torch.cat(found)


def _texts(parts: Sequence[Tensor]) -> tuple[str, ...]:
    """Return the strings of all ranks, of their bytes, each ended by a zero."""
    return tuple(bytes(torch.cat([*parts]).tolist()).decode().split("\0")[:-1])
