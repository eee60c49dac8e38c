"""`MountainCarContinuous`: `MountainCar` with forces from a range."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.continuous_mountain_car import Continuous_MountainCarEnv
from gymnasium.spaces import Box
from numpy.typing import NDArray

from pg_envs.classic.forms import ClassicEnv, FloatArray
from pg_envs.classic.hill import GRAVITY, AnyFloats, HillVector, moved
from pg_envs.core.blocks import Rows

GOAL = 0.45
POWER = 0.0015


class MountainCarContinuousVector(HillVector):
    """The vector form of `MountainCarContinuous`.

    Args:
        num_envs: B, the number of independent rows.
        goal_velocity: the least speed with which the goal counts.
        form: the arguments `max_episode_steps`, `autoreset_mode` and `render_mode` of `RowsVectorEnv`.
    """

    changing = ("draws", "state")

    def __init__(self, num_envs: int = 1, goal_velocity: float = 0, **form: Any) -> None:  # noqa: ANN401
        super().__init__(num_envs, Box(-1.0, 1.0, (1,), np.float32), goal_velocity, **form)

    def _move(self, actions: NDArray[Any], rows: Rows) -> tuple[FloatArray, NDArray[np.bool_]]:
        forces, first = self._checked(actions, rows)[:, 0], self.elapsed[self._index(rows)] == 0
        reached = np.zeros(len(rows), bool)
        for chosen, dtype in ((first, np.float64), (~first, np.float32)):  # Gymnasium rounds the state after each step
            if chosen.any():
                position, velocity = driven(self.state[:, rows[chosen]].astype(dtype), forces[chosen])
                reached[chosen] = (position >= GOAL) & (velocity >= self.goal_velocity)
                self.state[:, rows[chosen]] = np.stack([position, velocity]).astype(np.float32)
        return 100.0 * reached - np.square(forces, dtype=np.float64) * 0.1, reached


def driven(state: AnyFloats, force: NDArray[np.float32]) -> tuple[AnyFloats, AnyFloats]:
    """Return the positions and velocities after a step from the states [2, n], in their precision.

    A force in [−1, 1] is subject to float32's rounding; one that is cut to ±1 is an exact number in Gymnasium.
    """
    position, velocity = state
    slope = GRAVITY * np.cos((3 * position).astype(np.float64))
    rounded = force * np.float32(POWER) - slope.astype(np.float32)
    acceleration = np.where(np.abs(force) > 1, np.sign(force, dtype=np.float64) * POWER - slope, rounded)
    return moved(position, velocity, acceleration.astype(velocity.dtype))


class MountainCarContinuous(ClassicEnv, Continuous_MountainCarEnv):
    """Drive a car up a hill by forces from a range, and save fuel: Gymnasium's environment, with a state.

    ## Description
    As `MountainCar`, with a force f instead of an action and a stronger engine:

        v ← clip(v + 0.0015 clip(f, −1, 1) − 0.0025 cos 3x, −0.07, 0.07)
        x ← clip(x + v, −1.2, 0.6),

    with the new v; at the left end a negative v becomes 0. As in Gymnasium the state is rounded to float32 after each
    step.

    ## Action Space
    `Box(-1, 1, (1,), float32)`: f. What lies outside is clipped; the reward counts it as it is.

    ## Observation Space
    `Box(2, float32)`: x and v.

    ## Rewards
    −0.1 f² a step, and 100 at the goal. The best return is not known; it is below 100, and Gymnasium counts 90 as
    solved. A car that does nothing gets 0.

    ## Starting State
    x is uniform on [−0.6, −0.4], v is 0. `reset(options={"low": …, "high": …})` gives other bounds of x.

    ## Episode End
    Terminated if x ≥ 0.45 and v ≥ `goal_velocity`; truncated by the time limit, 999 steps in
    pg/MountainCarContinuous-v0.

    ## Arguments
    - `goal_velocity` = 0.

    ## References
    A. W. Moore, "Efficient Memory-Based Learning for Robot Control", 1990; the equations are those of Gymnasium.

    ## Version History
    - v0: first version; its transitions are those of Gymnasium's MountainCarContinuous-v0.
    """

    vector_form = MountainCarContinuousVector
