"""`CartPole`: a pole on a cart."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from pg_envs.classic.forms import ClassicEnv, ClassicVector, FloatArray
from pg_envs.core.blocks import Rows
from pg_envs.core.known import KnownReturns

GRAVITY = 9.8  # m/s²
POLE_MASS = 0.1  # kg
TOTAL_MASS = POLE_MASS + 1.0
HALF_LENGTH = 0.5  # m, of the pole
POLE_MOMENT = POLE_MASS * HALF_LENGTH
FORCES = np.array([-10.0, 10.0])  # N, of the actions
TAU = 0.02  # s, a step
FARTHEST = 2.4  # m
STEEPEST = 12 * 2 * math.pi / 360
HIGH = np.array([2 * FARTHEST, np.inf, 2 * STEEPEST, np.inf], np.float32)


class CartPoleVector(ClassicVector):
    """The vector form of `CartPole`.

    Args:
        num_envs: B, the number of independent rows.
        sutton_barto_reward: rewards of −1 for a fall and 0 else.
        form: the arguments `max_episode_steps`, `autoreset_mode` and `render_mode` of `RowsVectorEnv`.
    """

    changing = ("draws", "state")
    drawn, starts = 4, (-0.05, 0.05)

    def __init__(self, num_envs: int = 1, sutton_barto_reward: bool = False, **form: Any) -> None:  # noqa: ANN401
        super().__init__(num_envs, Box(-HIGH, HIGH, dtype=np.float32), Discrete(2), 4, **form)
        self.sutton_barto_reward = sutton_barto_reward

    def _start(self, rows: Rows) -> None:
        self.state[:, self._index(rows)] = self._draw(rows)

    def _move(self, actions: NDArray[Any], rows: Rows) -> tuple[FloatArray, NDArray[np.bool_]]:
        at = self._index(rows)
        state = self.state[:, at]
        state += TAU * derivatives(state, FORCES.take(self._checked(actions, rows)))
        if rows is not self.all_rows:  # else `state` is a view
            self.state[:, at] = state
        fallen = (np.abs(state[0]) > FARTHEST) | (np.abs(state[2]) > STEEPEST)
        return (-1.0 * fallen if self.sutton_barto_reward else np.ones(len(rows))), fallen

    def _observe(self) -> NDArray[np.float32]:
        return self.state.T.astype(np.float32, order="C")

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the best return, that of a pole that never falls; see `CartPole`."""
        return _known(self.sutton_barto_reward, max_episode_steps)


def derivatives(state: FloatArray, force: FloatArray) -> FloatArray:
    """Return (ẋ, ẍ, θ̇, θ̈) of the states (x, ẋ, θ, θ̇) under a force, [4, n]; the equations are in `CartPole`."""
    _, speed, angle, spin = state
    cos, sin = np.cos(angle), np.sin(angle)
    push = (force + POLE_MOMENT * np.square(spin) * sin) / TOTAL_MASS
    changes = np.empty_like(state)
    changes[0], changes[2] = speed, spin
    inertia = HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * np.square(cos) / TOTAL_MASS)
    np.divide(GRAVITY * sin - cos * push, inertia, out=changes[3])
    np.subtract(push, POLE_MOMENT * changes[3] * cos / TOTAL_MASS, out=changes[1])
    return changes


def _known(sutton_barto_reward: bool, limit: int | None) -> KnownReturns:
    return KnownReturns(optimal=0.0 if sutton_barto_reward else None if limit is None else float(limit))


class CartPole(ClassicEnv, CartPoleEnv):
    """Keep a pole upright by pushing the cart on which it stands: Gymnasium's environment, with a state.

    ## Description
    A cart of 1 kg stands on a track without friction, on it a pole of m = 0.1 kg and of half length l = 0.5 m; together
    they have M = 1.1 kg. With the force F, position x of the cart and angle θ of the pole (0: upright)

        a = (F + m l θ̇² sin θ) / M
        θ̈ = (g sin θ − a cos θ) / (l (4/3 − m cos² θ / M))
        ẍ = a − m l θ̈ cos θ / M

    are integrated by Euler's rule with the old speeds: x ← x + τ ẋ, ẋ ← ẋ + τ ẍ, θ ← θ + τ θ̇, θ̇ ← θ̇ + τ θ̈, τ = 0.02 s.

    ## Action Space
    `Discrete(2)`: a force of −10 N (0) or 10 N (1).

    ## Observation Space
    `Box(4, float32)`: x in m, ẋ in m/s, θ in rad, θ̇ in rad/s.

    ## Rewards
    1 a step, in the last one too; with `sutton_barto_reward` −1 if the pole has fallen and else 0.

    The best return is that of a pole that stays up until the time limit: 500 in pg/CartPole-v1, where Gymnasium counts
    475 as solved; with `sutton_barto_reward` it is 0. Linear feedback reaches it from every start that was tried.

    ## Starting State
    The four numbers are uniform on [−0.05, 0.05]. `reset(options={"low": …, "high": …})` gives other bounds.

    ## Episode End
    Terminated if |x| > 2.4 m or |θ| > 12°; truncated by the time limit, 500 steps in pg/CartPole-v1.

    ## Arguments
    - `sutton_barto_reward` = False: see Rewards.

    ## References
    A. G. Barto, R. S. Sutton, C. W. Anderson, "Neuronlike Adaptive Elements That Can Solve Difficult Learning Control
    Problems", 1983; R. V. Florian, "Correct Equations for the Dynamics of the Cart-Pole System", 2007.

    ## Version History
    - v1: first version; its transitions are those of Gymnasium's CartPole-v1.
    """

    vector_form = CartPoleVector
    kept = ("steps_beyond_terminated",)

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the best return, that of a pole that never falls."""
        return _known(self._sutton_barto_reward, max_episode_steps)
