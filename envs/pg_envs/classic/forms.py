"""What the environments of classic control share: starts, actions, and the state of the single forms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.utils import maybe_parse_reset_bounds
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from pg_envs.core.blocks import Blocks, Rows
from pg_envs.core.known import KnownReturns
from pg_envs.core.rows import RowsVectorEnv

FloatArray = NDArray[np.float64]
VERSION = 1
AHEAD = 64  # starts that are drawn at once


class ClassicVector(RowsVectorEnv):
    """B rows of an environment of classic control, each with the transitions of Gymnasium's single environment.

    Row i reset with the seed s is Gymnasium's environment under its time limit, reset with s and given the same
    actions: the same generator draws the same starts, in the episodes after automatic resets too, and the equations
    are evaluated in the same order. `options` of a reset are Gymnasium's, and hold for the episodes that it starts.

    A subclass names `starts`, the bounds between which the `drawn` numbers of a start are uniform, writes `_start`,
    `_move` and `_observe`, and says `changing = ("draws", "state")`.

    Args:
        num_envs: B, the number of rows.
        observation_space: the space of one row's observations.
        action_space: the space of one row's actions.
        size: the numbers of a row's state, of which `state` [size, B] holds all in float64.
        form: the arguments `max_episode_steps`, `autoreset_mode` and `render_mode` of `RowsVectorEnv`.
    """

    drawn: ClassVar[int]
    starts: ClassVar[tuple[Any, Any]]

    def __init__(
        self,
        num_envs: int,
        observation_space: gym.Space,
        action_space: gym.Space,
        size: int,
        **form: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(num_envs, observation_space, action_space, **form)
        self.state = np.zeros((size, num_envs))
        self.bounds = self.starts

    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes in all rows, or in those of `options["reset_mask"]`, between the bounds of `options`.

        Raises:
            ValueError: bounds that are no finite numbers, or the wrong way round.
        """
        bounds = self._bounds(options)
        if not np.isfinite(bounds).all():
            raise ValueError(f"options: the bounds of the starts must be finite, got {options}")
        self.bounds = bounds
        try:
            return super().reset(seed=seed, options=options)
        finally:
            self.bounds = self.starts

    def _bounds(self, options: dict[str, Any] | None) -> tuple[Any, Any]:
        """Return the bounds of the starts, the lower and the upper one."""
        return maybe_parse_reset_bounds(options, *self.starts)

    def _seed(self, generators: Sequence[np.random.Generator]) -> None:
        self.draws = Blocks(generators, partial(_uniform_vectors, length=self.drawn), AHEAD)

    def _draw(self, rows: Rows) -> FloatArray:
        """Return the next numbers of `rows`, uniform between the bounds as numpy draws them one by one, [drawn, n]."""
        low, high = self.bounds
        return low + (high - low) * self.draws.take(rows).T

    def _checked(self, actions: NDArray[Any], rows: Rows) -> NDArray[Any]:
        """Return the actions of `rows`, [n] whole numbers or [n, 1] of float32, as the space says.

        Raises:
            ValueError: another shape, another kind of numbers, actions that do not exist or are not finite.
        """
        space = self.single_action_space
        if isinstance(space, Discrete):
            kinds, said = "iu", f"whole numbers from 0 to {space.n - 1}"
        else:
            kinds, said = "fiu", "finite numbers"
        if actions.shape == (len(rows), *(space.shape or ())) and actions.dtype.kind in kinds:
            if isinstance(space, Discrete):
                if not len(rows) or (actions.min() >= 0 and actions.max() < space.n):
                    return actions
            elif np.isfinite(actions).all():
                return actions.astype(np.float32, copy=False)
        raise ValueError(
            f"actions: {self.single_action_space} for each of {len(rows)} rows takes {said}, got {actions.tolist()}"
        )


def _uniform_vectors(generator: np.random.Generator, size: int, length: int) -> FloatArray:
    return generator.random((size, length))


class ClassicEnv(gym.Env):
    """A single environment of Gymnasium with a state that can be saved; it stands before Gymnasium's class.

    It names its vector form in `vector_form`, and in `kept` what it changes besides `state` and its generator.
    """

    vector_form: ClassVar[type[RowsVectorEnv]]
    kept: ClassVar[tuple[str, ...]] = ()
    state: Any = None

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the returns of the random and of the best policy if episodes are cut at `max_episode_steps`."""
        return KnownReturns()

    def get_state(self) -> dict[str, Any]:
        """Return the state: an array, and the generator's state as ints."""
        return {
            "version": VERSION,
            "seed": self.np_random_seed,
            "generator": self.np_random.bit_generator.state,
            "state": None if self.state is None else np.array(self.state),
            **{name: getattr(self, name, None) for name in self.kept},
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from a state of `get_state`.

        Raises:
            ValueError: it is of a later version.
        """
        if state.get("version") != VERSION:
            raise ValueError(f"state: it has version {state.get('version')}, expected version {VERSION}")
        self.np_random.bit_generator.state = state["generator"]
        self._np_random_seed = state["seed"]
        self.state = None if state["state"] is None else state["state"].copy()
        for name in self.kept:
            setattr(self, name, state[name])
