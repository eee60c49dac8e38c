"""Single and vector environments from one implementation of the dynamics, for B independent rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from pg_envs.core.blocks import Blocks, Rows, uniform
from pg_envs.core.known import KnownReturns
from pg_envs.core.states import RowsState, RowState


class RowsVectorEnv(RowsState, VectorEnv):
    """B independent copies of one environment, stepped together in numpy.

    A subclass writes the dynamics for a set of rows (`_seed`, `_start`, `_move`, `_observe`) and names what they change
    (`changing`); the rest is here. `reset(seed=s)` seeds row i with s + i, as Gymnasium does; a list gives each row its
    own seed. `reset(options={"reset_mask": mask})` resets the rows where mask is True. `hold(mask)` lets them wait.

    Args:
        num_envs: B, the number of rows.
        observation_space: the space of one row's observations.
        action_space: the space of one row's actions.
        max_episode_steps: the step at which an episode is truncated; None: never.
        autoreset_mode: when a row whose episode has ended is reset.

    Raises:
        ValueError: num_envs or max_episode_steps below 1.
    """

    metadata: dict[str, Any] = {"render_modes": [], "seeds_per_environment": True}

    def __init__(
        self,
        num_envs: int,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
    ) -> None:
        for name, value in {"num_envs": num_envs, "max_episode_steps": max_episode_steps}.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = observation_space, action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode = render_mode
        self.generators: list[np.random.Generator] = []
        self.elapsed = np.zeros(num_envs, np.int64)  # steps taken in each row's episode
        self.ended = np.zeros(num_envs, bool)  # rows whose episode is over and which were not reset yet
        self.held: NDArray[np.bool_] | None = None  # rows that wait, whatever is done
        self.all_rows: Rows = np.arange(num_envs)

    # -- methods of a subclass ---------------------------------------------------------------------------------------
    def _seed(self, generators: Sequence[np.random.Generator]) -> None:
        """Make the `Blocks` of random numbers from new generators, one per row."""
        self.uniforms = Blocks(generators, uniform)

    @abstractmethod
    def _start(self, rows: Rows) -> None:
        """Put `rows` into an initial state."""

    @abstractmethod
    def _move(self, actions: NDArray[Any], rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Apply `actions` [len(rows), …] to `rows` and return their rewards and terminations, [len(rows)] each."""

    @abstractmethod
    def _observe(self) -> Any:  # noqa: ANN401 - an array or a dict of arrays, as the space says
        """Return all rows' observations, [B, …], in arrays that later steps do not change."""

    def _describe(self) -> dict[str, Any]:
        """Return the info of all rows, a dict of arrays [B, …]."""
        return {}

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the returns of the random and of the best policy if episodes are cut at `max_episode_steps`."""
        return KnownReturns()

    # -- Gymnasium's interface ---------------------------------------------------------------------------------------
    def reset(
        self, *, seed: int | Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start new episodes in all rows, or in those of `options["reset_mask"]`."""
        mask = np.asarray((options or {}).get("reset_mask", np.ones(self.num_envs)), bool)
        if mask.shape != (self.num_envs,):
            raise ValueError(f"reset_mask must have one entry for each of {self.num_envs} rows, got shape {mask.shape}")
        if seed is not None or not self.generators:
            if not mask.all():
                raise ValueError("reset_mask: a seed restarts every row, as the first reset does; leave the mask out")
            self.reseed(seed)
        self._restart(self._select(mask if self.held is None else mask & ~self.held))
        return self._observe(), self._infos()

    def hold(self, rows: NDArray[np.bool_]) -> None:
        """Keep the rows where `rows` is True, bool [B], as they are in steps and resets, until others are named."""
        self.held = rows.copy() if rows.any() else None

    def step(self, actions: Any) -> tuple[Any, NDArray, NDArray, NDArray, dict[str, Any]]:  # noqa: ANN401
        """Take one step in every row; rows that have ended are reset or kept, according to the autoreset mode."""
        rows, ended = self.all_rows, self.ended
        still = ended if self.held is None else ended | self.held
        if waiting := np.count_nonzero(still):
            rows = np.flatnonzero(~still)
        at = self._index(rows)
        rewards, terminated = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        rewards[at], terminated[at] = self._move(np.asarray(actions)[at], rows)
        self.elapsed[at] += 1
        truncated = np.zeros(self.num_envs, bool)
        if self.max_episode_steps is not None:
            truncated[at] = self.elapsed[at] >= self.max_episode_steps
        self.ended = terminated | truncated
        if waiting:
            self._wait(ended)
        infos = self._infos()
        if self.autoreset_mode is AutoresetMode.SAME_STEP and np.count_nonzero(self.ended):
            infos = self._reset_ended(infos)
        return self._observe(), rewards, terminated, truncated, infos

    # -- the mechanics -----------------------------------------------------------------------------------------------
    def _select(self, mask: NDArray[np.bool_]) -> Rows:
        """Return the rows where `mask` is True: `all_rows` itself if it is True everywhere."""
        return self.all_rows if np.count_nonzero(mask) == self.num_envs else np.flatnonzero(mask)

    def _index(self, rows: Rows) -> Rows | slice:
        """Return an index for arrays: a slice for all rows, which numpy copies several times faster, else `rows`."""
        return slice(None) if rows is self.all_rows else rows

    def reseed(self, seed: int | Sequence[int] | None) -> None:
        """Give each row a new generator; the rows stay in their states."""
        if isinstance(seed, int):
            seed = range(seed, seed + self.num_envs)
        seeds = [None] * self.num_envs if seed is None else list(seed)
        if len(seeds) != self.num_envs or (seed is not None and None in seeds):
            raise ValueError(f"seed: a list must have one int for each of the {self.num_envs} rows, got {seeds}")
        self.generators = [seeding.np_random(seed)[0] for seed in seeds]
        self._seed(self.generators)

    def _restart(self, rows: Rows) -> None:
        self._start(rows)
        at = self._index(rows)
        self.elapsed[at], self.ended[at] = 0, False

    def _wait(self, ended: NDArray[np.bool_]) -> None:
        """Handle rows that had ended before the step: NEXT_STEP resets them, unless they are held; else they stay."""
        if self.autoreset_mode is not AutoresetMode.NEXT_STEP:
            self.ended |= ended
        elif self.held is None:
            self._restart(np.flatnonzero(ended))
        else:
            self.ended |= ended & self.held
            if len(again := np.flatnonzero(ended & ~self.held)):
                self._restart(again)

    def _reset_ended(self, infos: dict[str, Any]) -> dict[str, Any]:
        """Reset the rows that ended in this step; their last observations become `final_obs`."""
        ended, final = self.ended.copy(), self._observe()
        if isinstance(final, dict):  # Gymnasium's form: an object array of single observations
            single = np.full(self.num_envs, None, object)
            for row in np.flatnonzero(ended):
                single[row] = {key: value[row] for key, value in final.items()}
            final = single
        self._restart(self._select(ended))
        infos = {key: ended if key.startswith("_") else value for key, value in infos.items()}
        return {**self._infos(), "final_obs": final, "_final_obs": ended, "final_info": infos, "_final_info": ended}

    def _infos(self) -> dict[str, Any]:
        infos = self._describe()
        return {**infos, **{f"_{key}": np.ones(self.num_envs, bool) for key in infos}}


class RowEnv(RowState, gym.Env):
    """One row of a `RowsVectorEnv` as a single environment: the same dynamics and, for the same seed, the same draws.

    A subclass names its vector form in `vector_form` and carries the documentation. Time limits are left to the
    TimeLimit wrapper, which `gymnasium.make` adds if the registration asks for one. Its metadata have the
    vector form's names of states and actions.
    """

    vector_form: ClassVar[type[RowsVectorEnv]]
    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:  # noqa: ANN401
        self.render_mode = render_mode
        self.rows = self.vector_form(num_envs=1, autoreset_mode=AutoresetMode.DISABLED, **arguments)
        self.observation_space = self.rows.single_observation_space
        self.action_space = self.rows.single_action_space
        named = ("state_names", "action_names")
        self.metadata = {**type(self).metadata, **{k: v for k, v in self.rows.metadata.items() if k in named}}

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the returns of the random and of the best policy if episodes are cut at `max_episode_steps`."""
        return self.rows.known_returns(max_episode_steps)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Start a new episode; `seed` makes a new generator, None keeps the current one."""
        if seed is not None or not self.rows.generators:
            self.reseed(seed)
        observations, infos = self.rows.reset(options=options)
        return _first(observations), _first_info(infos)

    def reseed(self, seed: int | None) -> None:
        """Make a new generator; the state does not change."""
        super().reset(seed=seed)
        self.rows.generators = [self.np_random]
        self.rows._seed(self.rows.generators)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Take one step."""
        observations, rewards, terminated, truncated, infos = self.rows.step(np.asarray(action)[None])
        return _first(observations), float(rewards[0]), bool(terminated[0]), bool(truncated[0]), _first_info(infos)


def _first(batch: Any) -> Any:  # noqa: ANN401
    """Return row 0 of an array [1, …] or of a dict of them."""
    return {key: value[0] for key, value in batch.items()} if isinstance(batch, dict) else batch[0]


def _first_info(infos: dict[str, Any]) -> dict[str, Any]:
    return {key: value[0] for key, value in infos.items() if not key.startswith("_")}
