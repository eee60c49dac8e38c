"""Some rows of a vector environment as one of fewer rows; the others are held, or play on unseen."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from pg_agents.data.tree import Tree, tree_map


class FewerRows(VectorWrapper):
    """Some rows of a vector environment; the others get actions of the first one, and are seen by nobody.

    Args:
        env: the vector environment.
        rows: which of its rows, int64 [n].
    """

    def __init__(self, env: VectorEnv, rows: NDArray[np.int64]) -> None:
        super().__init__(env)
        self.rows = rows
        self.places = np.zeros(env.num_envs, np.int64)  # of the environment's rows among these, 0 of the others
        self.places[rows] = np.arange(len(rows))
        self.observation_space = batch_space(env.single_observation_space, len(rows))
        self.action_space = batch_space(env.single_action_space, len(rows))

    @property
    def num_envs(self) -> int:  # type: ignore[override] # as Gymnasium's wrapper has it
        """The number of rows that are seen."""
        return len(self.rows)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
        """Reset the rows, or those of `options["reset_mask"]`."""
        seed = [seed[place] for place in self.places] if isinstance(seed, list) else seed
        if options is not None and "reset_mask" in options:
            options = options | {"reset_mask": self.of_all(options["reset_mask"], otherwise=False)}
        return self._seen(*self.env.reset(seed=seed, options=options))

    def step(self, actions: NDArray[Any]) -> Any:  # noqa: ANN401
        """Take a step in the rows."""
        observation, rewards, terminated, truncated, infos = self.env.step(actions[self.places])
        observation, infos = self._seen(observation, infos)
        return observation, rewards[self.rows], terminated[self.rows], truncated[self.rows], infos

    def of_all(self, values: NDArray[np.bool_], *, otherwise: bool) -> NDArray[np.bool_]:
        """Return values of the rows as values of all rows of the environment, `otherwise` in those not seen."""
        whole = np.full(self.env.num_envs, otherwise)
        whole[self.rows] = values
        return whole

    def _seen(self, observation: Tree, infos: dict[str, Any]) -> tuple[Tree, dict[str, Any]]:
        return tree_map(lambda leaf: leaf[self.rows], observation), rows_of_infos(infos, self.rows, self.env.num_envs)

    def get_state(self) -> dict[str, Any]:
        """Return nothing: the environment in it has the state."""
        return {}

    def set_state(self, state: dict[str, Any]) -> None:
        """Change nothing."""


def rows_of_infos(infos: dict[str, Any], rows: NDArray[np.int64], num_envs: int) -> dict[str, Any]:
    """Return the part of infos that belongs to some rows."""

    def part(value: Any) -> Any:  # noqa: ANN401
        if isinstance(value, dict):
            return {key: part(one) for key, one in value.items()}
        if isinstance(value, tuple):
            return tuple(map(part, value))
        return value[rows] if isinstance(value, np.ndarray) and value.shape[:1] == (num_envs,) else value

    return part(infos)
