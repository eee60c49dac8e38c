"""What the two cars in the valley have in common: where they begin, how they move, what is seen of them."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray

from pg_envs.classic.forms import ClassicVector
from pg_envs.core.blocks import Rows

LEFT, RIGHT, FASTEST = -1.2, 0.6, 0.07
GRAVITY = 0.0025
AnyFloats = NDArray[np.floating[Any]]


class HillVector(ClassicVector):
    """The base of the vector forms of cars in a valley of height sin 3x.

    Args:
        num_envs: B, the number of independent rows.
        action_space: of one row.
        goal_velocity: the least speed with which the goal counts.
        form: the arguments `max_episode_steps`, `autoreset_mode` and `render_mode` of `RowsVectorEnv`.
    """

    drawn, starts = 1, (-0.6, -0.4)

    def __init__(self, num_envs: int, action_space: gym.Space, goal_velocity: float, **form: Any) -> None:  # noqa: ANN401
        low, high = np.array([[LEFT, -FASTEST], [RIGHT, FASTEST]], np.float32)
        super().__init__(num_envs, Box(low, high, dtype=np.float32), action_space, 2, **form)
        self.goal_velocity = goal_velocity

    def _start(self, rows: Rows) -> None:
        at = self._index(rows)
        self.state[0, at], self.state[1, at] = self._draw(rows)[0], 0.0

    def _observe(self) -> NDArray[np.float32]:
        return self.state.T.astype(np.float32, order="C")


def moved(position: AnyFloats, velocity: AnyFloats, acceleration: AnyFloats) -> tuple[AnyFloats, AnyFloats]:
    """Return x ← clip(x + v, −1.2, 0.6) and v ← clip(v + a, −0.07, 0.07), in that order of v; at the left end v ≥ 0."""
    velocity = (velocity + acceleration).clip(-FASTEST, FASTEST)
    position = (position + velocity).clip(LEFT, RIGHT)
    velocity[(position == LEFT) & (velocity < 0)] = 0.0
    return position, velocity
