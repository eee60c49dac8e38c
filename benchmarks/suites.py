"""Suites: names of experiments, or of some of their cells, that are run together."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """An experiment's part in a suite.

    Attributes:
        experiment: its name.
        cells: a pattern of the names of its cells, as "ppo*".
        seeds: of each cell; empty: the experiment's own.
    """

    experiment: str
    cells: str = "*"
    seeds: tuple[int, ...] = ()


SUITES: dict[str, tuple[Part, ...]] = {}
