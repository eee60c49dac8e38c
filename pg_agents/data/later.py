"""Metrics that are computed when they are read, those of many updates at once: calls outlast few numbers."""

from __future__ import annotations

from collections.abc import Callable, ItemsView, Iterator, Sequence, ValuesView
from typing import Any, NamedTuple

from torch import Tensor

from pg_agents._fast.at_once import of_all
from pg_agents.data.learners import apart, of_each

LARGE = 4096  # numbers in an array, from which on computing takes longer than the calls


class Later(NamedTuple):
    """What a function makes of an update's arrays, for each learner by itself: a number, or [L].

    Attributes:
        function: of arrays […, T, B] → […].
        num_learners: L.
        arrays: [T, B].
    """

    function: Callable[..., Tensor]
    num_learners: int
    arrays: tuple[Tensor, ...]

    def now(self) -> Tensor:
        """Return it."""
        return of_each(self.function, self.num_learners, *self.arrays)

    @property
    def apart(self) -> list[Tensor]:
        """The arrays of one learner, [T, B], or of several, [L, T, b]."""
        several = self.num_learners > 1
        return [apart(array, self.num_learners) if several else array for array in self.arrays]

    @property
    def kind(self) -> tuple[Any, ...]:
        """Equal for what can be computed at once."""
        return self.function, self.num_learners, *((array.shape, array.dtype) for array in self.arrays)


class LazyMetrics(dict[str, Any]):
    """Metrics by name; one that is given as `Later` is a tensor for all who read it, `dict.items` excepted."""

    def _read(self, name: str) -> None:
        """Compute a metric, if there is one of that name that is not."""
        if isinstance(value := super().get(name), Later):
            self[name] = value.now()

    def __getitem__(self, name: str) -> Tensor:
        self._read(name)
        return super().__getitem__(name)

    def __iter__(self) -> Iterator[str]:  # with its own, dict(metrics) and {**metrics} read, too
        return super().__iter__()

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401
        """Return a metric."""
        self._read(name)
        return super().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:  # noqa: ANN401
        """Remove a metric and return it."""
        self._read(name)
        return super().pop(name, *default)

    def popitem(self) -> tuple[str, Any]:
        """Remove the last metric and return it."""
        name = next(reversed(self))
        return name, self.pop(name)

    def setdefault(self, name: str, default: Any = None) -> Any:  # noqa: ANN401
        """Return a metric, after adding it if there is none of that name."""
        self._read(name)
        return super().setdefault(name, default)

    def items(self) -> Any:  # noqa: ANN401
        """Return all names and metrics."""
        return ItemsView(self)

    def values(self) -> Any:  # noqa: ANN401
        """Return all metrics."""
        return ValuesView(self)

    def copy(self) -> LazyMetrics:
        """Return a copy."""
        return self | {}

    def __or__(self, others: Any) -> LazyMetrics:  # type: ignore[override] # noqa: ANN401
        return _joined(self, others)

    def __ror__(self, others: Any) -> LazyMetrics:  # type: ignore[override] # noqa: ANN401
        return _joined(others, self)

    def __eq__(self, other: object) -> bool:
        return dict(self) == other

    __hash__ = None

    def __reduce__(self) -> Any:  # noqa: ANN401
        return LazyMetrics, (dict(self),)


def _joined(*several: dict[str, Any]) -> LazyMetrics:
    return LazyMetrics([pair for metrics in several for pair in dict.items(metrics)])


def postponed(function: Callable[..., Tensor], num_learners: int, *arrays: Tensor) -> Tensor | Later:
    """Return what a function makes of arrays [T, B], or of few numbers what computes it later, from copies."""
    if arrays[0].numel() >= LARGE:
        return of_each(function, num_learners, *arrays)
    return Later(function, num_learners, tuple(array.clone() for array in arrays))  # values may be parameters


def computed(values: Sequence[Tensor | Later]) -> list[Tensor]:
    """Return a metric's values in several updates; those that are missing are computed at once where they are alike."""
    missing: dict[tuple[Any, ...], list[Later]] = {}
    for value in values:
        if isinstance(value, Later):
            missing.setdefault(value.kind, []).append(value)
    found = {kind: iter(of_all(kind[0], [one.apart for one in several])) for kind, several in missing.items()}
    return [next(found[value.kind]) if isinstance(value, Later) else value for value in values]
