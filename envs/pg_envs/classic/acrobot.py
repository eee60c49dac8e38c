"""`Acrobot`: two links that hang from one end."""

from __future__ import annotations

from itertools import repeat
from math import pow as power
from typing import Any

import numpy as np
from gymnasium.envs.classic_control.acrobot import AcrobotEnv
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from pg_envs.classic.forms import ClassicEnv, ClassicVector, FloatArray
from pg_envs.core.blocks import Rows

GRAVITY = 9.8  # m/s²
TORQUES = np.array([-1.0, 0.0, 1.0])  # N m, of the actions
DT = 0.2  # s, a step
FASTEST = np.array([[4 * np.pi], [9 * np.pi]])  # rad/s


class AcrobotVector(ClassicVector):
    """The vector form of `Acrobot`.

    Args:
        num_envs: B, the number of independent rows.
        form: the arguments `max_episode_steps`, `autoreset_mode` and `render_mode` of `RowsVectorEnv`.
    """

    changing = ("draws", "state")
    drawn, starts = 4, (-0.1, 0.1)

    def __init__(self, num_envs: int = 1, **form: Any) -> None:  # noqa: ANN401
        high = np.array([1.0, 1.0, 1.0, 1.0, *FASTEST[:, 0]], np.float32)
        super().__init__(num_envs, Box(-high, high, dtype=np.float32), Discrete(3), 4, **form)

    def _start(self, rows: Rows) -> None:
        self.state[:, self._index(rows)] = self._draw(rows).astype(np.float32)

    def _move(self, actions: NDArray[Any], rows: Rows) -> tuple[FloatArray, NDArray[np.bool_]]:
        at = self._index(rows)
        state = runge_kutta(self.state[:, at], TORQUES.take(self._checked(actions, rows)))
        state[:2] = wrapped(state[:2])
        state[2:] = state[2:].clip(-FASTEST, FASTEST)
        self.state[:, at] = state
        high = -np.cos(state[0]) - np.cos(state[1] + state[0]) > 1.0
        return np.where(high, 0.0, -1.0), high

    def _observe(self) -> NDArray[np.float32]:
        seen = directions(self.state)
        first = self.elapsed == 0
        if first.any():  # Gymnasium holds starts in float32, and computes the cosine in it
            seen[first] = directions(self.state[:, first].astype(np.float32))
        return seen


def directions(state: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return cosines and sines of the angles, computed in their precision, and the speeds, [n, 6], of states [4, n]."""
    seen = np.empty((state.shape[1], 6), np.float32)
    seen[:, 0:4:2], seen[:, 1:4:2], seen[:, 4:] = np.cos(state[:2]).T, np.sin(state[:2]).T, state[2:].T
    return seen


def runge_kutta(state: FloatArray, torque: FloatArray) -> FloatArray:
    """Return the states [4, n] after a step of the classical method of order 4."""
    first = derivatives(state, torque)
    second = derivatives(state + DT / 2.0 * first, torque)
    third = derivatives(state + DT / 2.0 * second, torque)
    fourth = derivatives(state + DT * third, torque)
    return state + DT / 6.0 * (first + 2 * second + 2 * third + fourth)


def derivatives(state: FloatArray, torque: FloatArray) -> FloatArray:
    """Return (θ̇₁, θ̇₂, θ̈₁, θ̈₂) of the states (θ₁, θ₂, θ̇₁, θ̇₂), [4, n]; the equations are in `Acrobot`.

    The sums are taken in Gymnasium's order: the motion is chaotic, so that a last bit would grow to another episode.
    """
    angle, bend, *spins = state
    cos, sin = np.cos(bend), np.sin(bend)
    d1 = 0.25 + (1.25 + cos) + 1.0 + 1.0
    d2 = 0.25 + 0.5 * cos + 1.0
    squares = squared(np.stack([*spins, d2]))
    phi2 = 0.5 * GRAVITY * np.cos(angle + bend - np.pi / 2.0)
    upper = 1.5 * GRAVITY * np.cos(angle - np.pi / 2)
    phi1 = -0.5 * squares[1] * sin - spins[1] * spins[0] * sin + upper + phi2
    bending = (torque + d2 / d1 * phi1 - 0.5 * squares[0] * sin - phi2) / (1.25 - squares[2] / d1)
    return np.stack([*spins, -(d2 * bending + phi1) / d1, bending])


def squared(values: FloatArray) -> FloatArray:
    """Return values² with the last bit of C's pow, by which numpy squares single numbers, but not arrays."""
    return np.fromiter(map(power, values.ravel().tolist(), repeat(2.0)), np.float64, values.size).reshape(values.shape)


def wrapped(angles: FloatArray) -> FloatArray:
    """Return the angles in [−π, π]."""
    while (above := angles > np.pi).any():
        angles = np.where(above, angles - 2 * np.pi, angles)
    while (below := angles < -np.pi).any():
        angles = np.where(below, angles + 2 * np.pi, angles)
    return angles


class Acrobot(ClassicEnv, AcrobotEnv):
    """Swing up two links by a motor in the joint between them: Gymnasium's environment, with a state.

    ## Description
    Two links, each of 1 kg, 1 m and a moment of inertia of 1 kg m² about its centre, hang from a free joint. A motor
    with the torque τ bends the joint between them. With the angle θ₁ of the first link (0: down) and θ₂ of the second
    one to the first

        d₁ = 7/2 + cos θ₂,   d₂ = 5/4 + ½ cos θ₂
        φ₂ = ½ g cos(θ₁ + θ₂ − π/2)
        φ₁ = −½ θ̇₂² sin θ₂ − θ̇₂ θ̇₁ sin θ₂ + 3/2 g cos(θ₁ − π/2) + φ₂
        θ̈₂ = (τ + d₂/d₁ φ₁ − ½ θ̇₁² sin θ₂ − φ₂) / (5/4 − d₂²/d₁)
        θ̈₁ = −(d₂ θ̈₂ + φ₁) / d₁

    are integrated by one step of Runge and Kutta's method of order 4 over 0.2 s; then the angles are wrapped into
    [−π, π] and the speeds clipped to 4π and 9π rad/s.

    ## Action Space
    `Discrete(3)`: τ is −1 (0), 0 (1) or 1 N m (2).

    ## Observation Space
    `Box(6, float32)`: cos θ₁, sin θ₁, cos θ₂, sin θ₂, θ̇₁, θ̇₂.

    ## Rewards
    −1 a step, and 0 in the step that reaches the goal. The best return is not known; Gymnasium counts −100 as solved.

    ## Starting State
    The four numbers are uniform on [−0.1, 0.1]. `reset(options={"low": …, "high": …})` gives other bounds.

    ## Episode End
    Terminated if the free end is more than 1 m above the fixed one, −cos θ₁ − cos(θ₁ + θ₂) > 1; truncated by the
    time limit, 500 steps in pg/Acrobot-v1.

    ## References
    R. S. Sutton, "Generalization in Reinforcement Learning: Successful Examples Using Sparse Coarse Coding", 1996;
    R. S. Sutton, A. G. Barto, "Reinforcement Learning: An Introduction", 2018, whose equations these are.

    ## Version History
    - v1: first version; its transitions are those of Gymnasium's Acrobot-v1.
    """

    vector_form = AcrobotVector
