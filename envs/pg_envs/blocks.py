"""Random numbers drawn ahead, one generator a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]  # indices of the rows an operation is about
Draw = Callable[[np.random.Generator, int], NDArray[Any]]


class Blocks:
    """Random numbers for B rows: each row draws from its own generator, `size` numbers ahead.

    Row b's numbers depend on its generator alone, whatever the other rows do, so a row of a vector environment and a
    single environment with the same seed see the same numbers.
    """

    def __init__(self, generators: Sequence[np.random.Generator], draw: Draw, size: int = 128) -> None:
        self.generators = generators
        self.draw = draw
        self.size = size
        self.values = np.stack([draw(generator, size) for generator in generators])  # [B, size]
        self.position = np.zeros(len(generators), np.int64)

    def take(self, rows: Rows) -> NDArray[Any]:
        """Return the next number of each of `rows`, [len(rows)]."""
        position = self.position[rows]
        if position.max(initial=0) >= self.size:
            for row in rows[position >= self.size]:
                self.values[row] = self.draw(self.generators[row], self.size)
                self.position[row] = 0
            position = self.position[rows]
        self.position[rows] = position + 1
        return self.values[rows, position]


def uniform(generator: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Draw `size` numbers, uniform on [0, 1)."""
    return generator.random(size)


def normal(generator: np.random.Generator, size: int) -> NDArray[np.float64]:
    """Draw `size` standard normal numbers."""
    return generator.standard_normal(size)
