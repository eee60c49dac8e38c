"""`Pendulum`: swing up a rod and hold it there."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from gymnasium.envs.classic_control.utils import verify_number_and_cast
from gymnasium.spaces import Box
from numpy.typing import NDArray

from pg_envs.classic.forms import ClassicEnv, ClassicVector, FloatArray
from pg_envs.core.blocks import Rows

FASTEST, STRONGEST = 8.0, 2.0
DT = 0.05  # s, a step
STARTS = {"x_init": np.pi, "y_init": 1.0}  # options of a reset: the largest angle and speed


class PendulumVector(ClassicVector):
    """The vector form of `Pendulum`.

    Args:
        num_envs: B, the number of independent rows.
        g: the acceleration of gravity in m/s².
        form: the arguments `max_episode_steps`, `autoreset_mode` and `render_mode` of `RowsVectorEnv`.
    """

    changing = ("draws", "state")
    drawn = 2
    starts = np.array([[-np.pi], [-1.0]]), np.array([[np.pi], [1.0]])

    def __init__(self, num_envs: int = 1, g: float = 10.0, **form: Any) -> None:  # noqa: ANN401
        high = np.array([1.0, 1.0, FASTEST], np.float32)
        spaces = Box(-high, high, dtype=np.float32), Box(-STRONGEST, STRONGEST, (1,), np.float32)
        super().__init__(num_envs, *spaces, 2, **form)
        self.g = g

    def _bounds(self, options: dict[str, Any] | None) -> tuple[FloatArray, FloatArray]:
        given = options or {}
        high = np.array([[verify_number_and_cast(given.get(name, default))] for name, default in STARTS.items()])
        if (high < 0).any():
            raise ValueError(f"options: x_init and y_init must not be negative, got {options}")
        return -high, high

    def _start(self, rows: Rows) -> None:
        self.state[:, self._index(rows)] = self._draw(rows)

    def _move(self, actions: NDArray[Any], rows: Rows) -> tuple[FloatArray, NDArray[np.bool_]]:
        at = self._index(rows)
        angle, spin = self.state[:, at]
        torque = self._checked(actions, rows)[:, 0].clip(-STRONGEST, STRONGEST)
        off = (angle + np.pi) % (2 * np.pi) - np.pi
        squares = np.fromiter(
            (one**2 for one in torque), np.float32, len(rows)
        )  # by C's powf, as Gymnasium rounds them
        costs = off**2 + 0.1 * spin**2 + 0.001 * squares
        spin = (spin + (3 * self.g / 2 * np.sin(angle) + 3.0 * torque) * DT).clip(-FASTEST, FASTEST)
        self.state[0, at], self.state[1, at] = angle + spin * DT, spin
        return -costs, np.zeros(len(rows), bool)

    def _observe(self) -> NDArray[np.float32]:
        angle, spin = self.state
        return np.stack([np.cos(angle), np.sin(angle), spin], axis=1).astype(np.float32)


class Pendulum(ClassicEnv, PendulumEnv):
    """Swing up a rod with a motor that is too weak, and hold it upright: Gymnasium's environment, with a state.

    ## Description
    A rod of m = 1 kg and l = 1 m turns around one end. With the torque u and the angle θ (0: upright)

        θ̇ ← clip(θ̇ + (3 g / (2 l) sin θ + 3 / (m l²) clip(u, −2, 2)) dt, −8, 8)
        θ ← θ + θ̇ dt,

    with the new θ̇, and dt = 0.05 s.

    ## Action Space
    `Box(-2, 2, (1,), float32)`: u in N m. What lies outside is clipped.

    ## Observation Space
    `Box(3, float32)`: cos θ, sin θ, and θ̇ in rad/s.

    ## Rewards
    −(θ² + 0.1 θ̇² + 0.001 u²), of the state before the step, with θ in [−π, π) and u clipped. The best return is not
    known; it is below 0. There is no reward at which Gymnasium counts it as solved.

    ## Starting State
    θ is uniform on [−π, π], θ̇ on [−1, 1]. `reset(options={"x_init": …, "y_init": …})` gives other bounds of θ and θ̇.

    ## Episode End
    Never terminated; truncated by the time limit, 200 steps in pg/Pendulum-v1.

    ## Arguments
    - `g` = 10.0: the acceleration of gravity in m/s².

    ## References
    The equations are those of Gymnasium's Pendulum-v1; K. Doya, "Reinforcement Learning in Continuous Time and Space",
    2000, has the task of swinging up a pendulum with limited torque.

    ## Version History
    - v1: first version; its transitions are those of Gymnasium's Pendulum-v1.
    """

    vector_form = PendulumVector
    kept = ("last_u",)
