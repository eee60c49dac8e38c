"""`Recall`, a task that requires memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from pg_envs.core.blocks import Rows
from pg_envs.core.known import KnownReturns
from pg_envs.core.rows import RowEnv, RowsVectorEnv


class RecallVector(RowsVectorEnv):
    """The vector form of `Recall`.

    Args:
        num_envs: B, the number of rows.
        num_symbols: k.
        delay: n, steps from the cue to the question.
        form: the arguments `max_episode_steps`, `autoreset_mode` and `render_mode` of `RowsVectorEnv`.

    Raises:
        ValueError: fewer than two symbols, a delay below 1.
    """

    changing = ("uniforms", "cue", "shown")

    def __init__(self, num_envs: int, num_symbols: int = 4, delay: int = 8, **form: Any) -> None:  # noqa: ANN401
        for name, value, least in (("num_symbols", num_symbols, 2), ("delay", delay, 1)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        super().__init__(num_envs, Discrete(2 * num_symbols + 1), Discrete(num_symbols), **form)
        self.num_symbols, self.delay = num_symbols, delay
        self.cue = np.zeros(num_envs, np.int64)
        self.shown = np.zeros(num_envs, np.int64)

    def _start(self, rows: Rows) -> None:
        at = self._index(rows)
        self.cue[at] = self.uniforms.take(rows) * self.num_symbols  # rounded down
        self.shown[at] = self.cue[at]

    def _move(self, actions: NDArray[Any], rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        at = self._index(rows)
        asked = self.elapsed[at] == self.delay
        right = actions == np.where(asked, self.cue[at], self.shown[at] % self.num_symbols)
        rewards = right * np.where(asked, 1.0, 1 / self.delay)
        question, symbols = 2 * self.num_symbols, (self.uniforms.take(rows) * self.num_symbols).astype(np.int64)
        self.shown[at] = np.where(self.elapsed[at] + 1 >= self.delay, question, self.num_symbols + symbols)
        return rewards, asked

    def _observe(self) -> NDArray[np.int64]:
        return self.shown.copy()

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the returns of the random policy, of the best one without memory and of the best one; see `Recall`."""
        limit = self.delay + 1 if max_episode_steps is None else max_episode_steps
        echoes, answers = min(limit, self.delay) / self.delay, float(limit > self.delay)
        chance = 1 / self.num_symbols
        return KnownReturns(
            random=(echoes + answers) * chance, optimal=echoes + answers, memoryless=echoes + answers * chance
        )


class Recall(RowEnv):
    """Repeat every symbol as it is shown; at the question, name the first symbol.

    ## Description
    One of k symbols is shown at each of n steps, all drawn independently and uniformly; the first is the cue. Then the
    question comes, which looks the same whatever the cue was. Repeating what is shown pays 1/n a step, naming the cue
    at the question pays 1, so the best return is 2.

    A policy without memory gets 1 + 1/k at most. At the question its observation is always the same, so its action A is
    independent of the cue C, and P(A = C) = Σ_a P(A = a) P(C = a) = 1/k. Knowing the time does not help, nor do the
    last n observations: those after the cue are independent of it. A random policy gets 2/k.

    ## Action Space
    `Discrete(k)`: the named symbol.

    ## Observation Space
    `Discrete(2 k + 1)`: 0 … k − 1 the cue, k … 2 k − 1 a later symbol, 2 k the question.

    ## Rewards
    1/n for naming the symbol shown, 1 for naming the cue at the question, else 0.

    ## Starting State
    A cue drawn uniformly.

    ## Episode End
    Terminated by the answer, after n + 1 steps; the last observation is the question again.

    ## Arguments
    - `num_symbols` = 4: k.
    - `delay` = 8: n, steps from the cue to the question.

    ## References
    B. Bakker, "Reinforcement Learning with Long Short-Term Memory", 2001 (the T-maze, of which this is the cue and the
    junction); I. Osband et al., "Behaviour Suite for Reinforcement Learning", 2020 (memory length).

    ## Version History
    - v0: first version.
    """

    vector_form = RecallVector
