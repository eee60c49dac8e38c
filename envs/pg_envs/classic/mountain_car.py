"""`MountainCar`: a car that is too weak for the hill."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.mountain_car import MountainCarEnv
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from pg_envs.classic.forms import ClassicEnv, FloatArray
from pg_envs.classic.hill import GRAVITY, HillVector, moved
from pg_envs.core.blocks import Rows

GOAL = 0.5
ENGINE = np.array([-0.001, 0.0, 0.001])  # of the actions


class MountainCarVector(HillVector):
    """The vector form of `MountainCar`.

    Args:
        num_envs: B, the number of independent rows.
        goal_velocity: the least speed with which the goal counts.
        form: the arguments `max_episode_steps`, `autoreset_mode` and `render_mode` of `RowsVectorEnv`.
    """

    changing = ("draws", "state")

    def __init__(self, num_envs: int = 1, goal_velocity: float = 0, **form: Any) -> None:  # noqa: ANN401
        super().__init__(num_envs, Discrete(3), goal_velocity, **form)

    def _move(self, actions: NDArray[Any], rows: Rows) -> tuple[FloatArray, NDArray[np.bool_]]:
        at = self._index(rows)
        position, velocity = self.state[:, at]
        acceleration = ENGINE.take(self._checked(actions, rows)) + np.cos(3 * position) * -GRAVITY
        position, velocity = moved(position, velocity, acceleration)
        self.state[0, at], self.state[1, at] = position, velocity
        return np.full(len(rows), -1.0), (position >= GOAL) & (velocity >= self.goal_velocity)


class MountainCar(ClassicEnv, MountainCarEnv):
    """Drive a car up a hill for which its engine is too weak: Gymnasium's environment, with a state.

    ## Description
    A car in a valley of height sin 3x must first drive up the other side. With the action a, position x and velocity v

        v ← clip(v + 0.001 (a − 1) − 0.0025 cos 3x, −0.07, 0.07)
        x ← clip(x + v, −1.2, 0.6),

    with the new v; at the left end, x = −1.2, a negative v becomes 0. A position of −π/6 is the bottom of the valley.

    ## Action Space
    `Discrete(3)`: accelerate to the left (0), not at all (1), to the right (2).

    ## Observation Space
    `Box(2, float32)`: x and v.

    ## Rewards
    −1 a step. The best return is not known. Gymnasium counts −110 as solved; a policy that never reaches the goal
    gets −200 in pg/MountainCar-v0.

    ## Starting State
    x is uniform on [−0.6, −0.4], v is 0. `reset(options={"low": …, "high": …})` gives other bounds of x.

    ## Episode End
    Terminated if x ≥ 0.5 and v ≥ `goal_velocity`; truncated by the time limit, 200 steps in pg/MountainCar-v0.

    ## Arguments
    - `goal_velocity` = 0.

    ## References
    A. W. Moore, "Efficient Memory-Based Learning for Robot Control", 1990; R. S. Sutton, "Generalization in
    Reinforcement Learning: Successful Examples Using Sparse Coarse Coding", 1996, whose equations these are.

    ## Version History
    - v0: first version; its transitions are those of Gymnasium's MountainCar-v0.
    """

    vector_form = MountainCarVector
