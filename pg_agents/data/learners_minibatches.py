"""Minibatches of several independent learners: part k consists of the k-th part that each would have alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from pg_agents.data.devices import on_device
from pg_agents.data.learners import apart
from pg_agents.data.rollout import Batch
from pg_agents.data.tree import Tree, tree_map

Generators = Sequence[torch.Generator] | None


def steps_of_learners(batch: Batch, size: int, generators: Generators, names: Sequence[str]) -> Iterator[Batch]:
    """Yield parts [n, L] of about `size` steps of each of L learners.

    Args:
        batch: of T · b steps of each learner.
        size: steps in a part.
        generators: shuffle the steps, one for each learner; None: they stay in order.
        names: of the fields that steps on their own have.
    """
    learners, columns = batch.num_learners, batch.weights.shape[1]
    places = torch.arange(batch.weights.numel(), device=batch.weights.device).view(-1, columns)
    places, valid = apart(places, learners).flatten(1), (apart(batch.weights, learners) != 0).flatten(1)
    cuts = []
    for learner in range(learners):
        order = _shuffled(valid[learner].nonzero().squeeze(1), generators, learner)
        parts = -(-len(order) // size)
        cuts.append(order.tensor_split([len(order) * i // parts for i in range(1, parts)]) if parts else ())
    most = min(size, places.shape[1])  # whatever the data of others: so is the rounding of one learner's sums
    for chosen, scale in _side_by_side(cuts, most):
        index = places.gather(1, chosen)
        fields = {name: _taken(getattr(batch, name), index) for name in names}
        yield Batch(**fields | {"weights": fields["weights"] * scale.T}, num_learners=learners)


def columns_of_learners(
    weights: Tensor, num_learners: int, size: int, generators: Generators
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the columns of parts of about `size` steps of each of L learners, int64 [L · m], and the scale of each.

    Args:
        weights: of the batch, [T, L · b].
        num_learners: L.
        size: steps in a part.
        generators: shuffle the columns, one for each learner; None: they stay in order.
    """
    counts = apart(weights != 0, num_learners).sum(1)  # [L, b]
    cuts = []
    for learner, of_columns in enumerate(counts):
        used = of_columns.nonzero().squeeze(1)
        parts = min(len(used), -(-int(of_columns.sum()) // size))
        cuts.append(_shuffled(used, generators, learner).tensor_split(parts) if parts else ())
    most = max((len(part) for parts in cuts for part in parts), default=0)
    first = torch.arange(num_learners, device=weights.device)[:, None] * counts.shape[1]
    for chosen, scale in _side_by_side(cuts, most):
        yield (first + chosen).flatten(), scale.expand(chosen.shape).flatten()


def _shuffled(units: Tensor, generators: Generators, learner: int) -> Tensor:
    if generators is None:
        return units
    return units[on_device(torch.randperm(len(units), generator=generators[learner]), units.device)]


def _side_by_side(cuts: Sequence[Sequence[Tensor]], length: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield part k of every learner, int64 [L, length], and how many parts it has; 0 where it has nothing in it."""
    device = next(part.device for parts in cuts for part in parts)
    nothing = torch.empty(0, dtype=torch.int64, device=device)
    counts = torch.tensor([[len(parts)] for parts in cuts], dtype=torch.float32, device=device)
    for k in range(max(map(len, cuts))):
        part = [parts[k] if k < len(parts) else nothing for parts in cuts]
        lengths = torch.tensor([[len(one)] for one in part], device=device)
        if bool((lengths == length).all()):
            yield torch.stack(part), counts
        else:
            padded = [nn.functional.pad(one, (0, length - len(one))) for one in part]
            yield torch.stack(padded), (torch.arange(length, device=device) < lengths) * counts


def _taken(tree: Tree, index: Tensor) -> Tree:
    """Return the steps at `index` [L, n] as [n, L, …], in whose memory each learner's rows stand together."""

    def taken(leaf: Tensor) -> Tensor:
        rows = leaf.flatten(0, 1).index_select(0, index.flatten())
        return rows.view(*index.shape, *leaf.shape[2:]).transpose(0, 1)

    return None if tree is None else tree_map(taken, tree)
