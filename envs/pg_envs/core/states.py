"""The state of environments, from which others, made with the same arguments, go on with the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from pg_envs.core.blocks import Blocks, Rows, like

VERSION = 1
OF_ALL = ("version", "generators")
METHODS = ("_seed", "_start", "_move")  # which change what `changing` names


def _changing(form: type[RowsState]) -> tuple[str, ...]:
    """Return the names of what the class's methods change."""
    named = next((owner for owner in form.__mro__ if "changing" in vars(owner)), None)
    written = [next(owner for owner in form.__mro__ if method in vars(owner)) for method in METHODS]
    if named is None or not all(issubclass(named, owner) for owner in written):
        raise NotImplementedError(f"{form.__name__} does not name what its methods change, in its attribute `changing`")
    return form.changing


class RowsState:
    """`get_state` and `set_state` of a `RowsVectorEnv`.

    A subclass that writes dynamics names in `changing` what its methods change: arrays [B, …] and `Blocks`. A class
    whose dynamics were written after the names has no state, since it may keep something elsewhere.
    """

    changing: ClassVar[tuple[str, ...]]
    generators: list[np.random.Generator]
    elapsed: Rows

    def reseed(self, seed: int | Sequence[int] | None) -> None:
        """Give each row a new generator."""
        raise NotImplementedError

    def get_state(self) -> dict[str, Any]:
        """Return the state of all rows: arrays, and the generators' states as ints.

        Raises:
            NotImplementedError: the class does not say what its dynamics change.
        """
        kept = {name: getattr(self, name) for name in ("elapsed", "ended", *_changing(type(self)))}
        return {
            "version": VERSION,
            "generators": [generator.bit_generator.state for generator in self.generators],
            **{name: part.get_state() if isinstance(part, Blocks) else part.copy() for name, part in kept.items()},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state of `get_state`.

        Raises:
            ValueError: it is the state of an environment that was made with other arguments, or of a later version.
            NotImplementedError: the class does not say what its dynamics change.
        """
        names = ("elapsed", "ended", *_changing(type(self)))
        if state.get("version") != VERSION or len(state["generators"]) != len(self.elapsed):
            raise ValueError(
                f"state: it has version {state.get('version')} and {len(state.get('generators', ()))} rows, expected "
                f"version {VERSION} and {len(self.elapsed)} rows"
            )
        self.reseed([0] * len(self.elapsed))
        for name in names:
            own = getattr(self, name)
            if isinstance(own, Blocks):
                own.set_state(state[name])
            else:
                setattr(self, name, like(state[name], own))
        for generator, saved in zip(self.generators, state["generators"], strict=True):
            generator.bit_generator.state = saved

    def state_of_rows(self, state: dict[str, Any], rows: slice) -> dict[str, Any]:
        """Return the state of `rows`, as many as there are here, from that of an environment that has more of them.

        They go on as they would have gone on there.
        """
        count = len(state["generators"])
        taken = {name: _of_rows(getattr(self, name), state[name], rows, count) for name in state if name not in OF_ALL}
        return {"version": state["version"], "generators": state["generators"][rows], **taken}


def _of_rows(own: Any, part: Any, rows: slice, count: int) -> Any:  # noqa: ANN401
    """Return a part of a state in the form of `own`, which differs from it in the number of rows."""
    if isinstance(own, Blocks):
        return own.state_of_rows(part, rows, count)
    axis = next((axis for axis, size in enumerate(part.shape) if size != own.shape[axis]), 0)
    return part[(slice(None),) * axis + (rows,)]


class RowState:
    """`get_state` and `set_state` of a `RowEnv`."""

    rows: Any  # a RowsState
    _np_random: np.random.Generator | None
    _np_random_seed: int | None

    def get_state(self) -> dict[str, Any]:
        """Return the state; see `RowsState.get_state`."""
        return {"seed": self._np_random_seed, **self.rows.get_state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state of `get_state`; see `RowsState.set_state`."""
        self.rows.set_state(state)
        (self._np_random,), self._np_random_seed = self.rows.generators, state["seed"]
