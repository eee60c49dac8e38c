"""Rollouts of whole episodes of several learners: whose episodes have ended waits for the others.

A learner alone would begin its next episodes where its last one has ended. Until all learners are there, its
environments are held still, and what is drawn for it is taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.collection.episode_groups import GROUP
from pg_agents.collection.faults import with_rows
from pg_agents.collection.fewer_rows import FewerRows
from pg_agents.generators import Generators
from pg_agents.spaces.action_masks import MASK

Rows = NDArray[np.bool_]  # of all rows of an environment, [B]


class Still(gym.Wrapper):
    """An environment that is held: steps and resets change nothing, and return what was seen last."""

    def __init__(self, env: gym.Env, observation: Any, info: dict[str, Any]) -> None:  # noqa: ANN401
        super().__init__(env)
        self.seen, self.info = observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
        """Return what was seen last."""
        return self.seen, 0.0, False, False, self.info

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Return what was seen last."""
        return self.seen, self.info

    def get_state(self) -> dict[str, Any]:
        """Return nothing: the environment in it has the state."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Change nothing."""


def can_hold(adapter: EnvAdapter) -> bool:
    """Return whether rows of the environment can be held: it has a method `hold`, or is Gymnasium's SyncVectorEnv."""
    core = adapter.env.unwrapped
    return isinstance(core, SyncVectorEnv) or hasattr(core, "hold")


def hold(adapter: EnvAdapter, rows: Rows) -> None:
    """Keep `rows` of an environment as they are, in steps and resets, and let all others go on."""
    core: Any = adapter.env.unwrapped
    adapter.masks.idle, places = rows, np.arange(len(rows))
    if isinstance(adapter.env, FewerRows):
        rows, places = adapter.env.of_all(rows, otherwise=True), adapter.env.places
    if not isinstance(core, SyncVectorEnv):
        core.hold(rows)
        return
    for row, env in enumerate(core.envs):
        if rows[row] and not isinstance(env, Still):
            core.envs[row] = Still(env, core._env_obs[row], _info(adapter, places[row]))
        elif isinstance(env, Still) and not rows[row]:
            core.envs[row] = env.env


def _info(adapter: EnvAdapter, row: int) -> dict[str, Any]:
    """Return of a row's info what is read: its mask and its group."""
    infos = adapter.infos
    given = [key for key in (MASK, GROUP) if key in infos and infos.get(f"_{key}", adapter.all)[row]]
    return {key: infos[key][row] for key in given}


class Waiting:
    """The learners whose episodes of a rollout have ended, and who wait for the others.

    Args:
        adapter: the environments, with a seed for each row; those of a learner are side by side.
        num_learners: L.

    Attributes:
        holds: whether its rows can be held; else they play on, and learners are like their single runs, not equal.
    """

    def __init__(self, adapter: EnvAdapter, num_learners: int) -> None:
        self.adapter, self.num_learners = adapter, num_learners
        self.holds = can_hold(adapter)

    def reset(self) -> None:
        """Begin new episodes for the learners of whom a row is within one; rows that all begin one already wait."""
        adapter = self.adapter
        kept, before = self._rows(self._each(adapter.episode_starts).all(1)), adapter.observation
        if not self.holds or not kept.any():
            adapter.reset()
            return
        hold(adapter, kept)
        adapter.reset()
        hold(adapter, adapter.none)
        adapter.observation = with_rows(adapter.observation, before, kept)  # with the masks of infos before

    @contextmanager
    def rollout(self, generators: Generators) -> Iterator[None]:
        """A context in which one rollout is collected; after it, all learners are where they would be alone.

        Args:
            generators: of the learners' actions.
        """
        self.generators = generators
        self.complete = np.zeros(self.num_learners, bool)
        self.drawn: dict[int, Tensor] = {}  # learner → the state of its generator
        self.starts = self.adapter.none.copy()
        try:
            yield
        finally:
            if self.drawn:
                self._go_on()

    def see(self, active: Rows) -> None:
        """Let those learners wait of whom no row is active any more, unless all are there."""
        complete = ~self._each(active).any(1)
        new = complete & ~self.complete
        if complete.all() or not new.any():
            return
        self.complete, rows = complete, self._rows(new)
        self.starts[rows] = self.adapter.episode_starts[rows]
        self.drawn |= {learner: self.generators.state_of(learner) for learner in np.flatnonzero(new).tolist()}
        if self.holds:  # rows of an absorbing environment that have ended stay as they are
            waiting = self._rows(complete)
            hold(self.adapter, waiting & self.adapter.valid if self.adapter.absorbing else waiting)

    def _go_on(self) -> None:
        adapter = self.adapter
        for learner, state in self.drawn.items():
            self.generators[learner].set_state(state)
        if self.holds:
            hold(adapter, adapter.none)
        if self.holds and not adapter.absorbing:
            adapter.episode_starts = np.where(self._rows(self.complete), self.starts, adapter.episode_starts)
            adapter.times = np.where(adapter.episode_starts, 0, adapter.times)

    def _each(self, rows: Rows) -> Any:  # noqa: ANN401 - bool [L, b]
        return rows.reshape(self.num_learners, -1)

    def _rows(self, learners: Rows) -> Rows:
        return learners.repeat(self.adapter.num_envs // self.num_learners)
