"""Large observations of a rollout, written once to where they stay."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.data.tree import Tree, tree_leaves, tree_map

LARGE = 2**16  # bytes of an observation [B, …]; below, a list of copies that is stacked at the end takes less time


def are_large(observation: Tree) -> bool:
    """Return whether the arrays [B, …] of an observation take so many bytes that they should be held once."""
    return sum(leaf.nbytes for leaf in tree_leaves(observation)) >= LARGE


class RowsInPlace:
    """T observations [B, …] as arrays [T, B, …], of which every row is written when it is seen.

    A list of copies, stacked at the end, would hold pictures twice, and leave holes in memory between them.

    Args:
        example: an observation.
        num_steps: T.

    Attributes:
        whole: the arrays [T, B, …].
        complete: whether all observations had the dtypes of the example; those that had not are not in `whole`.
        features: what an encoder made of them, [T, B, size]; None: it is not kept.
    """

    def __init__(self, example: Tree, num_steps: int) -> None:
        self.whole = tree_map(lambda leaf: np.empty((num_steps, *leaf.shape), leaf.dtype), example)
        self.num_steps, self.t, self.complete = num_steps, 0, True
        self.features: Tensor | None = None

    def copied(self, observation: Tree) -> Tree:
        """Return a copy of the next step's observation: views [B, …] of `whole`."""
        row = tree_map(self._copied, self.whole, observation)
        self.t += 1
        return row

    def keep_features(self, features: Tensor) -> Tensor:
        """Copy the features [B, size] of the step that `copied` has copied; return the copy, a view of `features`."""
        if self.features is None:
            self.features = features.new_empty(self.num_steps, *features.shape)
        return self.features[self.t - 1].copy_(features)

    def _copied(self, whole: NDArray, leaf: NDArray) -> NDArray:
        if leaf.dtype != whole.dtype:
            self.complete = False
            return np.array(leaf)
        row = whole[self.t]
        row[...] = leaf
        return row
