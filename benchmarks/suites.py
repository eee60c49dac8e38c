"""Suites: names under which experiments, or some of their cells, are run together, in the order in which they stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol, TypeVar


class Named(Protocol):
    """A cell of an experiment."""

    @property
    def name(self) -> str:
        """Its name, unique within the experiment."""


C = TypeVar("C", bound=Named)


@dataclass(frozen=True)
class Part:
    """An experiment in a suite.

    Attributes:
        experiment: its name.
        cells: patterns of names of cells, "CartPole-v1/*"; those of the first pattern run first.
        seeds: in place of the experiment's own; None: those.
    """

    experiment: str
    cells: tuple[str, ...] = ("*",)
    seeds: Sequence[int] | None = None

    def of(self, cells: Sequence[C]) -> list[C]:
        """Return the cells that are part of the suite, in its order."""
        found = {cell.name: cell for pattern in self.cells for cell in cells if fnmatchcase(cell.name, pattern)}
        return list(found.values())


SUITES: dict[str, tuple[Part, ...]] = {}
