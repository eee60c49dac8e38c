"""Finite Markov decision processes, given by their tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
Outcome = tuple[float, int, float, bool]  # probability, next state, reward, terminated
Table = Mapping[int, Mapping[int, Sequence[Outcome]]]  # outcomes by state and action, as in Gymnasium's toy text


@dataclass(frozen=True, init=False, eq=False)
class TabularMDP:
    """A finite Markov decision process: P(s'|s,a), r(s,a,s'), ρ(s), γ, and the states in which an episode ends.

    The arrays are read-only. Terminal states lead to themselves with reward 0, whatever the arguments say.

    Args:
        transitions: P, [S, A, S].
        rewards: r(s,a,s'), [S, A, S], or r(s,a), [S, A].
        initial: ρ, the distribution of the first state, [S].
        discount: γ in [0, 1].
        terminal: the states in which episodes end, as booleans [S] or as indices; empty: a continuing task.

    Raises:
        ValueError: a wrong shape, a number that is not finite, a row that is not a distribution, a terminal state that
            does not exist or in which episodes begin.

    Reference: Puterman, "Markov Decision Processes", 1994.
    """

    transitions: FloatArray
    rewards: FloatArray
    initial: FloatArray
    discount: float
    terminal: NDArray[np.bool_]

    def __init__(
        self,
        transitions: ArrayLike,
        rewards: ArrayLike,
        initial: ArrayLike,
        discount: float = 1.0,
        terminal: ArrayLike = (),
    ) -> None:
        p = np.array(transitions, np.float64)
        if p.ndim != 3 or p.shape[0] != p.shape[2] or 0 in p.shape:
            raise ValueError(f"transitions must have shape [S, A, S] with at least one state and action, got {p.shape}")
        if not 0 <= discount <= 1:
            raise ValueError(f"discount must lie in [0, 1], got {discount}")
        end = _terminal_mask(terminal, len(p))
        r, rho = _full_rewards(rewards, p.shape), np.array(initial, np.float64)
        p[end], r[end] = np.eye(len(p))[end][:, None], 0.0
        _check_distributions("transitions", p)
        if rho.shape != (len(p),):
            raise ValueError(f"initial must have shape [S] = {(len(p),)}, got {rho.shape}")
        _check_distributions("initial", rho)
        if rho[end].any():
            raise ValueError(f"initial must not begin in a terminal state, got mass on {np.flatnonzero(rho * end)}")
        for name, value in (("transitions", p), ("rewards", r), ("initial", rho), ("terminal", end)):
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        object.__setattr__(self, "discount", float(discount))

    def __reduce__(self) -> tuple[type[TabularMDP], tuple[Any, ...]]:
        # Copied and unpickled arrays are writable; constructing the MDP again makes them read-only.
        return type(self), (self.transitions, self.rewards, self.initial, self.discount, self.terminal)

    @property
    def num_states(self) -> int:
        """S, the number of states."""
        return self.transitions.shape[0]

    @property
    def num_actions(self) -> int:
        """A, the number of actions."""
        return self.transitions.shape[1]

    @cached_property
    def expected_rewards(self) -> FloatArray:
        """r(s,a) = Σ_s' P(s'|s,a) r(s,a,s'), [S, A]."""
        return np.einsum("san,san->sa", self.transitions, self.rewards)

    @classmethod
    def from_table(cls, table: Table, initial: ArrayLike, discount: float = 1.0) -> TabularMDP:
        """Build the process from `table[state][action] = [(probability, next state, reward, terminated), …]`.

        Outcomes with the same next state are added up, and their rewards averaged by probability. In a table terminated
        belongs to the transition, here to the next state. Where some transitions into a state end the episode and
        others do not, the process gets one more state, S, which is terminal, and to which all transitions
        lead that end an episode.
        """
        outcomes = [(s, a, *outcome) for s in table for a in table[s] for outcome in table[s][a] if outcome[0] > 0]
        ending = {next_state for *_, next_state, _, terminated in outcomes if terminated}
        passing = {next_state for *_, next_state, _, terminated in outcomes if not terminated}
        num_states, num_actions = len(table), len(table[0])
        terminal = sorted(ending)
        if ending & passing:
            terminal, num_states = [num_states], num_states + 1
        p, r = np.zeros((2, num_states, num_actions, num_states))
        for s, a, probability, next_state, reward, terminated in outcomes:
            next_state = terminal[0] if terminated and ending & passing else next_state
            p[s, a, next_state] += probability
            r[s, a, next_state] += probability * reward
        rho = np.zeros(num_states)
        rho[: len(table)] = initial
        return cls(p, np.divide(r, p, out=np.zeros_like(r), where=p > 0), rho, discount, terminal)

    @classmethod
    def from_gymnasium(cls, env: gym.Env, discount: float = 1.0) -> TabularMDP:
        """Read the tables of FrozenLake, CliffWalking, Taxi and others that have `P` and `initial_state_distrib`.

        Taxi's episodes end where a passenger is delivered, in states that other transitions pass through: its process
        has 501 states, the last of which is terminal (see `from_table`).

        Raises:
            ValueError: the environment has no such tables.
        """
        core: Any = env.unwrapped
        if not hasattr(core, "P") or not hasattr(core, "initial_state_distrib"):
            raise ValueError(
                f"env: {type(core).__name__} has no tables P and initial_state_distrib; FrozenLake-v1, "
                "CliffWalking-v1 and Taxi have; for others build TabularMDP(transitions, rewards, initial) yourself"
            )
        return cls.from_table(core.P, core.initial_state_distrib, discount)


def _full_rewards(rewards: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Return r(s,a,s') with `shape` [S, A, S], from r(s,a,s') or r(s,a)."""
    r = np.array(rewards, np.float64)
    if r.shape not in (shape, shape[:2]):
        raise ValueError(f"rewards must have shape {shape} (s, a, s') or {shape[:2]} (s, a), got {r.shape}")
    wrong = ~np.isfinite(r)
    if wrong.any():
        raise ValueError(f"rewards must be finite, got {r[wrong][0]} in {_first(wrong)}")
    return r if r.ndim == 3 else np.broadcast_to(r[..., None], shape).copy()


def _terminal_mask(terminal: ArrayLike, num_states: int) -> NDArray[np.bool_]:
    given = np.asarray(terminal)
    if given.dtype == bool:
        if given.shape != (num_states,):
            raise ValueError(f"terminal: booleans must have shape [S] = {(num_states,)}, got {given.shape}")
        return given.copy()
    states = given.astype(np.int64)
    if (states != given).any() or ((states < 0) | (states >= num_states)).any():
        raise ValueError(f"terminal must hold states, 0 … {num_states - 1}, got {given}")
    mask = np.zeros(num_states, bool)
    mask[states] = True
    return mask


def _check_distributions(name: str, p: FloatArray) -> None:
    wrong = ~(p >= 0) | np.isinf(p)  # NaN is not >= 0 either
    if wrong.any():
        raise ValueError(f"{name} must hold probabilities, got {p[wrong][0]} in {_first(wrong)}")
    sums = p.sum(-1)
    wrong = np.abs(sums - 1) > 1e-8
    if wrong.any():
        raise ValueError(
            f"{name} must sum to 1, got {sums[wrong][0]:.9g}{' in ' + _first(wrong) if p.ndim > 1 else ''}: "
            "give the missing probability to a state, or divide by the sum"
        )


def _first(where: NDArray[np.bool_]) -> str:
    """Name the first entry of [S], [S, A] or [S, A, S] that is True."""
    return ", ".join(
        f"{name} {i}" for name, i in zip(("state", "action", "next state"), np.argwhere(where)[0], strict=False)
    )
