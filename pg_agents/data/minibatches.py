"""Parts of a batch, whose losses add up to the loss of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from operator import itemgetter
from typing import Any, Literal

import torch
from torch import Tensor

from pg_agents.data.rollout import Batch, TokenBlock
from pg_agents.data.tree import tree_leaves, tree_map

PER_STEP = ("observations", "actions", "weights", "advantages", "log_probs", "targets", "reference_log_probs")


Unit = Literal["step", "environment", "row"]  # what is dealt out as a whole


def minibatches(batch: Batch, size: int, generator: torch.Generator | None, *, unit: Unit) -> Iterator[Batch]:
    """Return a random partition of `batch` into parts of about `size` steps.

    Every part's weights are multiplied by the number of parts, so that the mean of the parts' losses is the loss of the
    whole. Parts differ by one unit at most: there is no small remainder.

    Args:
        batch: of T · B steps.
        size: steps in a part, padding not counted unless units are rows; the number of parts is rounded up.
        generator: of the permutation; None: in order, so that texts with one prompt stay together.
        unit: "step": parts are [n] of the valid steps. "environment": the steps of one stay together, as memories and
            windows of tokens need it; parts are [T, b]. "row": so do the steps of all environments at one time, each in
            its place, as independent learners need it, whose parameters go by position; parts are [t, B], and as many
            whatever the learners do.
    """
    return {"step": _steps, "environment": _columns, "row": _rows}[unit](batch, size, generator)


def _rows(batch: Batch, size: int, generator: torch.Generator | None) -> Iterator[Batch]:
    times, learners = batch.weights.shape
    parts = min(times, -(-times * learners // size))
    for rows in _permutation(times, generator, batch.weights.device).tensor_split(parts):
        fields = {name: _each(getattr(batch, name), itemgetter(rows)) for name in PER_STEP}
        yield Batch(**fields | {"weights": fields["weights"] * parts})


def _steps(batch: Batch, size: int, generator: torch.Generator | None) -> Iterator[Batch]:
    valid = (batch.weights.flatten() != 0).nonzero().squeeze(1)
    parts, last = -(-len(valid) // size), batch.weights.ndim - 1  # parts of parts are [n] already
    order = valid[_permutation(len(valid), generator, valid.device)]
    # One gather an epoch; the parts are views.
    fields = {name: _each(getattr(batch, name), lambda leaf: leaf.flatten(0, last)[order]) for name in PER_STEP}
    fields["weights"] = fields["weights"] * parts
    ends = [len(order) * i // parts for i in range(parts + 1)]
    for low, high in zip(ends, ends[1:], strict=False):
        rows = slice(low, high)
        yield Batch(**{name: _each(value, itemgetter(rows)) for name, value in fields.items()})


def _columns(batch: Batch, size: int, generator: torch.Generator | None) -> Iterator[Batch]:
    counts = (batch.weights != 0).sum(0)
    columns = counts.nonzero().squeeze(1)
    parts = min(len(columns), -(-int(counts.sum()) // size))
    for chosen in columns[_permutation(len(columns), generator, columns.device)].tensor_split(max(1, parts)):
        yield columns_of(batch, chosen, parts)


def without_idle_columns(batch: Batch) -> Batch:
    """Return the batch without the texts that weigh nothing, on which a language model would waste its time."""
    if not isinstance(batch.observations, TokenBlock):
        return batch
    used = (batch.weights != 0).any(0)
    return batch if used.all() else columns_of(batch, used.nonzero().squeeze(1))


def columns_of(batch: Batch, chosen: Tensor, scale: float = 1.0) -> Batch:
    """Return the batch [T, b] of the environments `chosen`, int64 [b], its weights multiplied by `scale`."""
    fields = {
        name: _each(getattr(batch, name), lambda leaf: leaf[:, chosen]) for name in (*PER_STEP[1:], "episode_starts")
    }
    seen = batch.observations
    if isinstance(seen, TokenBlock):
        mask = None if seen.mask is None else seen.mask[:, chosen]
        fields["observations"] = TokenBlock(seen.tokens[chosen], seen.lengths[:, chosen], mask)
    else:
        fields["observations"] = tree_map(lambda leaf: leaf[:, chosen], seen)
    fields["memory"] = _each(batch.memory, lambda leaf: leaf[chosen])
    fields["weights"] = fields["weights"] * scale
    return replace(batch, **fields)


def _each(value: Any, function: Callable[[Tensor], Tensor]) -> Any:  # noqa: ANN401
    if isinstance(value, Tensor):
        return function(value)
    return None if value is None or not any(True for _ in tree_leaves(value)) else tree_map(function, value)


def _permutation(count: int, generator: torch.Generator | None, device: torch.device) -> Tensor:
    if generator is None:
        return torch.arange(count, device=device)
    return torch.randperm(count, generator=generator).to(device)
