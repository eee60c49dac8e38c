"""Random numbers: of one generator, or of several independent learners, each from a generator of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

Source = torch.Generator | Sequence[torch.Generator] | None  # None: torch's default generator


class Generators(Sequence[torch.Generator]):
    """Random numbers of several independent learners, each from a generator of its own.

    Args:
        seeds: of the generators.
        device: of the numbers.
    """

    def __init__(self, seeds: Iterable[int], device: torch.device | str = "cpu") -> None:
        self.each = [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __getitem__(self, learner: Any) -> Any:  # noqa: ANN401
        return self.each[learner]

    def __len__(self) -> int:
        return len(self.each)

    def get_state(self) -> Tensor:
        """Return the generators' states, [L, …]."""
        return torch.stack([generator.get_state() for generator in self.each])

    def set_state(self, states: Tensor) -> None:
        """Go on from states of `get_state`."""
        for generator, state in zip(self.each, states, strict=True):
            generator.set_state(state.clone())  # torch reads it as numbers of 64 bits, which must be aligned


def make_generators(seeds: Sequence[int], device: torch.device | str = "cpu") -> torch.Generator | Generators:
    """Return a generator, or those of several learners."""
    if len(seeds) == 1:
        return torch.Generator(device).manual_seed(seeds[0])
    return Generators(seeds, device)


def filled(fill: Callable[..., Tensor], empty: Tensor, source: Source) -> Tensor:
    """Return `empty`, [B, …], filled in place by `fill(part, generator=…)`: whole, or each learner's rows apart.

    What a learner draws is what it would draw alone.
    """
    if source is None or isinstance(source, torch.Generator):
        return fill(empty, generator=source)
    for part, generator in zip(empty.split(len(empty) // len(source)), source, strict=True):
        fill(part, generator=generator)
    return empty
