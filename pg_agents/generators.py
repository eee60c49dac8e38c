"""Random numbers: of one generator, or of several independent learners, each from a generator of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

AHEAD = 64  # draws that each learner makes at once: a call takes longer than the few numbers of one
IN_ORDER = (Tensor.exponential_, Tensor.uniform_)  # a long array gets the numbers that short ones would get in turn


class Generators(Sequence[torch.Generator]):
    """Random numbers of several independent learners, each from a generator of its own.

    What a learner draws is what it would draw alone, also where numbers are drawn ahead.

    Args:
        seeds: of the generators.
        device: of the numbers.
    """

    def __init__(self, seeds: Iterable[int], device: torch.device | str = "cpu") -> None:
        self.each = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self.ahead: _Ahead | None = None

    def __getitem__(self, learner: Any) -> Any:  # noqa: ANN401
        self._settle()
        return self.each[learner]

    def __len__(self) -> int:
        return len(self.each)

    def filled(self, fill: Callable[..., Tensor], empty: Tensor) -> Tensor:
        """Return an array like `empty`, [L · b, …], with numbers that `fill` draws, each learner's rows apart."""
        if fill not in IN_ORDER:
            self._settle()
            for part, generator in zip(empty.split(len(empty) // len(self)), self.each, strict=True):
                fill(part, generator=generator)
            return empty
        if self.ahead is None or not self.ahead.serves(fill, empty):
            self._settle()
            self.ahead = _Ahead(fill, empty, self.each)
        return self.ahead.next()

    def part(self, learners: Sequence[int]) -> torch.Generator | Generators:
        """Return the generators of some learners, or the one of one learner; it is the same generator."""
        self._settle()
        some = Generators(())
        some.each = [self.each[learner] for learner in learners]
        return some if len(some) > 1 else some.each[0]

    def _settle(self) -> None:
        """Put the generators where they would be if nothing had been drawn ahead."""
        if self.ahead is not None:
            self.ahead.take_back(self.each)
            self.ahead = None

    def state_of(self, learner: int) -> Tensor:
        """Return the state of a learner's generator, as if nothing had been drawn ahead."""
        return self.each[learner].get_state() if self.ahead is None else self.ahead.state_of(learner)

    def get_state(self) -> Tensor:
        """Return the generators' states, [L, …]."""
        self._settle()
        return torch.stack([generator.get_state() for generator in self.each])

    def set_state(self, states: Tensor) -> None:
        """Go on from states of `get_state`."""
        self.ahead = None
        for generator, state in zip(self.each, states, strict=True):
            generator.set_state(state.clone())  # torch reads it as numbers of 64 bits, which must be aligned


class _Ahead:
    """Numbers that are drawn for the next steps, [L, AHEAD, …]."""

    def __init__(self, fill: Callable[..., Tensor], empty: Tensor, generators: Sequence[torch.Generator]) -> None:
        self.fill, self.like, self.used = fill, empty, 0
        self.before = [generator.get_state() for generator in generators]
        self.numbers = empty.new_empty(len(generators), AHEAD, len(empty) // len(generators), *empty.shape[1:])
        for part, generator in zip(self.numbers, generators, strict=True):
            fill(part, generator=generator)

    def serves(self, fill: Callable[..., Tensor], empty: Tensor) -> bool:
        """Return whether there are numbers left, and of this kind."""
        same = self.like.shape == empty.shape and self.like.dtype is empty.dtype and self.like.device == empty.device
        return self.used < AHEAD and fill is self.fill and same

    def next(self) -> Tensor:
        """Return the numbers of the next step, [L · b, …]; they belong to the caller."""
        self.used += 1
        return self.numbers[:, self.used - 1].reshape(self.like.shape)

    def state_of(self, learner: int) -> Tensor:
        """Return the state of a generator that has drawn what was used, and no more."""
        generator = torch.Generator(self.like.device)
        generator.set_state(self.before[learner])
        if self.used:
            self.fill(torch.empty_like(self.numbers[learner, : self.used]), generator=generator)
        return generator.get_state()

    def take_back(self, generators: Sequence[torch.Generator]) -> None:
        """Let each generator have drawn what was used, and no more."""
        if self.used == AHEAD:
            return
        for learner, generator in enumerate(generators):
            generator.set_state(self.state_of(learner))


def make_generators(seeds: Sequence[int], device: torch.device | str = "cpu") -> torch.Generator | Generators:
    """Return a generator, or those of several learners."""
    if len(seeds) == 1:
        return torch.Generator(device).manual_seed(seeds[0])
    return Generators(seeds, device)


Source = torch.Generator | Generators | None  # None: torch's default generator


def filled(fill: Callable[..., Tensor], empty: Tensor, source: Source) -> Tensor:
    """Return an array like `empty`, [B, …], with numbers drawn by `fill(empty, generator=…)`, a method of tensors."""
    if source is None or isinstance(source, torch.Generator):
        return fill(empty, generator=source)
    return source.filled(fill, empty)
