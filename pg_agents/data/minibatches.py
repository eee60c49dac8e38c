"""Minibatches: parts of a batch whose losses average to the loss of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from pg_agents._fast.gathers import deal_out
from pg_agents.data.devices import on_device
from pg_agents.data.learners_minibatches import columns_of_learners, steps_of_learners
from pg_agents.data.rollout import Batch, TokenBlock, step_fields
from pg_agents.data.shares import Share
from pg_agents.data.tree import tree_leaves, tree_map

SINGLE = tuple(name for name in step_fields(Batch) if name != "episode_starts")  # what a step on its own consists of

Unit = Literal["step", "environment"]  # what a minibatch never splits
Order = (
    torch.Generator | Sequence[torch.Generator] | None
)  # where random orders come from; of several learners one each


def minibatches(batch: Batch, size: int, generator: Order, *, unit: Unit) -> Iterator[Batch]:
    """Return a random partition of `batch` into parts of about `size` steps.

    The weights of every part are multiplied by the number of parts, so that the mean of the parts' losses is the loss
    of the whole. The sizes of the parts differ by one unit at most: there is no small remainder.

    Where the batch is one's own part of a whole (`data.shares`), parts are one's own of the parts of the whole.

    Several learners have parts of their own, as if each had the batch alone: part k consists of the k-th part of each.
    Where theirs are fewer or shorter, what is missing has weight 0.

    Args:
        batch: the batch, of T · B steps.
        size: the steps in a part, without padding; the number of parts is rounded up. Of several learners: of each.
        generator: shuffles the units; None: they stay in order, so that texts with the same prompt stay together.
        unit: what is never split. "step": parts are [n], valid steps only; of L learners [n, L]. "environment": all
            steps of an environment, as memories and windows of tokens require; parts are [T, b].
    """
    if batch.num_learners > 1:
        generators = [generator] if isinstance(generator, torch.Generator) else generator
        if unit == "step":
            return steps_of_learners(batch, size, generators, SINGLE)
        parts = columns_of_learners(batch.weights, batch.num_learners, size, generators)
        return (columns_of(batch, chosen, scale) for chosen, scale in parts)
    assert not isinstance(generator, Sequence)
    return {"step": _steps, "environment": _columns}[unit](batch, size, generator)


def _steps(batch: Batch, size: int, generator: torch.Generator | None) -> Iterator[Batch]:
    valid = (weights_of_all(batch).flatten() != 0).nonzero().squeeze(1)
    parts, last = -(-len(valid) // size), batch.weights.ndim - 1  # a batch may be a minibatch [n] itself
    order = valid[_permutation(len(valid), generator, valid.device)]
    ends = [len(order) * i // parts for i in range(parts + 1)]
    share = batch.share
    if share is not None and share.weights is not None:
        order, ends = share.order(order, ends)
        share = replace(share, weights=None)
    batch = replace(batch, weights=batch.weights * parts)
    fields = {
        name: _each(getattr(batch, name), lambda leaf: deal_out(leaf.flatten(0, last), order, ends)) for name in SINGLE
    }
    for _ in range(parts):
        part = Batch(**{name: _each(dealt, next) for name, dealt in fields.items()}, share=share)
        yield part if part.weights.numel() else _idle_step(batch, last, share)


def _idle_step(batch: Batch, last: int, share: Share | None) -> Batch:
    """Return one step of weight 0, for a part in which one has no step: no model likes 0."""
    first = {name: _each(getattr(batch, name), lambda leaf: leaf.flatten(0, last)[:1]) for name in SINGLE}
    return Batch(**{**first, "weights": torch.zeros_like(first["weights"])}, share=share)


def _columns(batch: Batch, size: int, generator: torch.Generator | None) -> Iterator[Batch]:
    counts = (weights_of_all(batch) != 0).sum(0)
    columns = counts.nonzero().squeeze(1)
    parts = min(len(columns), -(-int(counts.sum()) // size))
    for chosen in columns[_permutation(len(columns), generator, columns.device)].tensor_split(max(1, parts)):
        yield columns_of(batch, chosen, parts) if batch.share is None else _own_columns_of(batch, chosen, parts)


def _own_columns_of(batch: Batch, chosen: Tensor, scale: float) -> Batch:
    """Return one's own of the columns `chosen` of the whole; one column of weight 0 where none is: no model likes 0."""
    assert batch.share is not None
    if batch.share.weights is not None:
        chosen = batch.share.places[chosen]
        chosen = chosen[chosen >= 0]
        batch = replace(batch, share=replace(batch.share, weights=None))
    return columns_of(batch, chosen, scale) if len(chosen) else columns_of(batch, chosen.new_zeros(1), 0.0)


def weights_of_all(batch: Batch) -> Tensor:
    """Return the weights of the whole, [T, B], if the batch knows it, else its own."""
    return batch.weights if batch.share is None or batch.share.weights is None else batch.share.weights


def without_idle_columns(batch: Batch) -> Batch:
    """Return the batch without the columns whose weights are all 0, which a language model need not compute."""
    if not isinstance(batch.observations, TokenBlock):
        return batch
    used = (batch.weights != 0).any(0)
    used[0] |= not used.any()
    return batch if used.all() else columns_of(batch, used.nonzero().squeeze(1))


def columns_of(batch: Batch, chosen: Tensor, scale: float | Tensor = 1.0) -> Batch:
    """Return the columns `chosen`, int64 [b], of a batch as a batch [T, b], with weights multiplied by `scale`."""
    fields = {name: _each(getattr(batch, name), _chosen(chosen, axis=1)) for name in step_fields(Batch)[1:]}
    seen = batch.observations
    if isinstance(seen, TokenBlock):
        mask = None if seen.mask is None else seen.mask[:, chosen]
        fields["observations"] = TokenBlock(seen.tokens[chosen], seen.lengths[:, chosen], mask)
    else:
        fields["observations"] = tree_map(_chosen(chosen, axis=1), seen)
    fields["memory"] = _each(batch.memory, _chosen(chosen, axis=0))
    fields["weights"] = fields["weights"] * scale
    if batch.share is not None:
        fields["share"] = replace(batch.share, columns=batch.share.columns[chosen])
    return replace(batch, **fields)


def _each(value: Any, function: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    if isinstance(value, Tensor):
        return function(value)
    return None if value is None or not any(True for _ in tree_leaves(value)) else tree_map(function, value)


def _chosen(places: Tensor, axis: int) -> Callable[[Tensor], Tensor]:
    """Return a function from a leaf to its rows or columns at `places`."""
    return lambda leaf: leaf.index_select(axis, places)


def _permutation(count: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    if generator is None:
        return torch.arange(count, device=device)
    return on_device(torch.randperm(count, generator=generator), device)
