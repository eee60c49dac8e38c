"""Random numbers drawn in blocks, from one generator per row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]  # indices of rows
Draw = Callable[[np.random.Generator, int], NDArray[Any]]


class Blocks:
    """Random numbers for B rows: each row draws from its own generator, `size` numbers ahead.

    Row b's numbers depend only on its own generator, so that a row of a vector environment and a single environment
    with the same seed get the same numbers. A `draw` may return vectors, [size, …].
    """

    def __init__(self, generators: Sequence[np.random.Generator], draw: Draw, size: int = 512) -> None:
        self.generators = generators
        self.draw = draw
        self.size = size
        self.num_rows = len(generators)
        drawn = np.stack([draw(generator, size) for generator in generators], axis=1)  # [size, B, …]
        self.values = drawn.reshape(-1, *drawn.shape[2:])  # number i of row b stands at i·B + b
        self.cursor = np.arange(self.num_rows)  # where each row's next number stands
        self.spare = size  # so many takes are possible before any row can run out

    def take(self, rows: Rows) -> NDArray[Any]:
        """Return the next number of each of `rows`, which are distinct and ascending, [len(rows), …]."""
        if self.spare <= 0:
            self._refill(rows)
        self.spare -= 1
        if len(rows) == self.num_rows:  # all rows need no gathering of cursors
            taken = self.values.take(self.cursor, axis=0)
            self.cursor += self.num_rows
        else:
            cursor = self.cursor[rows]
            taken = self.values.take(cursor, axis=0)
            self.cursor[rows] = cursor + self.num_rows
        return taken

    def _refill(self, rows: Rows) -> None:
        """Draw a new block for those of `rows` that have used up theirs."""
        for row in rows[self.cursor[rows] >= len(self.values)].tolist():
            self.values[row :: self.num_rows] = self.draw(self.generators[row], self.size)
            self.cursor[row] = row
        self.spare = self.size - int(self.cursor.max()) // self.num_rows

    def get_state(self) -> dict[str, Any]:
        """Return the numbers that were drawn ahead, and how far they are used up, without the generators' states."""
        return {"values": self.values.copy(), "cursor": self.cursor.copy(), "spare": self.spare}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state of `get_state`, of as many rows."""
        self.values, self.cursor = like(state["values"], self.values), like(state["cursor"], self.cursor)
        self.spare = int(state["spare"])

    def state_of_rows(self, state: dict[str, Any], rows: slice, count: int) -> dict[str, Any]:
        """Return the state of `rows`, as many as there are here, from that of `count` rows."""
        values = state["values"].reshape(-1, count, *state["values"].shape[1:])[:, rows]
        used = state["cursor"][rows] // count
        cursor = used * self.num_rows + np.arange(self.num_rows)
        return {
            "values": values.reshape(-1, *values.shape[2:]),
            "cursor": cursor,
            "spare": len(values) - int(used.max()),
        }


def like(array: NDArray[Any], own: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of an array of a state.

    Raises:
        ValueError: its shape or its dtype is not that of `own`.
    """
    if np.shape(array) != own.shape or array.dtype != own.dtype:
        raise ValueError(
            f"state: an array of shape {np.shape(array)} and dtype {array.dtype}, where this environment has "
            f"{own.shape} and {own.dtype}; give the state of an environment that was made with the same arguments"
        )
    return array.copy()


def uniform(generator: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Draw `size` numbers, uniform on [0, 1)."""
    return generator.random(size)


def normal(generator: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Draw `size` standard normal numbers."""
    return generator.standard_normal(size)
