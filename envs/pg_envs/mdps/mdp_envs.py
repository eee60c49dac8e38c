"""The environments that play a `TabularMDP`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from gymnasium.spaces import Discrete
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from pg_envs.core.blocks import Rows
from pg_envs.core.known import KnownReturns
from pg_envs.core.mdp import FloatArray, TabularMDP
from pg_envs.core.rows import RowEnv, RowsVectorEnv
from pg_envs.solve import evaluate, expected_return, gains, uniform_policy


class MDPVectorEnv(RowsVectorEnv):
    """B rows that play a `TabularMDP`; a row takes one uniform number a step and finds s' by the inverse of P(·|s,a).

    Args:
        mdp: the process.
        num_envs: B, the number of rows.
        max_episode_steps: the step at which an episode is truncated; None: never.
        autoreset_mode: what happens to a row whose episode has ended.
        render_mode: None; there is nothing to render.
    """

    changing = ("uniforms", "state")

    def __init__(
        self,
        mdp: TabularMDP,
        num_envs: int = 1,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
    ) -> None:
        super().__init__(
            num_envs,
            Discrete(mdp.num_states),
            Discrete(mdp.num_actions),
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            render_mode=render_mode,
        )
        self.mdp = mdp
        self.state = np.zeros(num_envs, np.int64)
        self._sizes = mdp.num_states, mdp.num_actions
        self._successors, self._thresholds = _inverse(mdp.transitions.reshape(-1, mdp.num_states))
        rewards = np.take_along_axis(mdp.rewards.reshape(-1, mdp.num_states), self._successors, 1)
        self._num_successors = self._successors.shape[1]
        self._successors, self._rewards = self._successors.ravel(), rewards.ravel()
        self._first_states, self._first_thresholds = _inverse(mdp.initial[None])
        self._known: dict[int | None, KnownReturns] = {}

    def _start(self, rows: Rows) -> None:
        below = self._first_thresholds <= self.uniforms.take(rows)  # [S - 1, rows]
        self.state[rows] = self._first_states[0, below.sum(0)]

    def _move(self, actions: NDArray[Any], rows: Rows) -> tuple[FloatArray, NDArray[np.bool_]]:
        at = self._index(rows)
        pair = np.ravel_multi_index((self.state[at], actions), self._sizes)  # raises for an action out of range
        below = self._thresholds.take(pair, 1) <= self.uniforms.take(rows)  # [successors - 1, rows]
        outcome = pair * self._num_successors + below.sum(0)
        states = self._successors[outcome]
        self.state[at] = states
        return self._rewards[outcome], self.mdp.terminal[states]

    def _observe(self) -> NDArray[np.int64]:
        return self.state.copy()

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the exact returns of the random and the best policy (which may depend on the time under a time limit).

        They are per episode under a time limit or if there are terminal states; else gains, per step. None stands for a
        value that does not exist, such as the total of a policy that may never end its episode.
        """
        if max_episode_steps not in self._known:
            self._known[max_episode_steps] = _known_returns(self.mdp, max_episode_steps)
        return self._known[max_episode_steps]


class MDPEnv(RowEnv):
    """A `TabularMDP` as an environment; `pg_envs.register("Mine-v0", MDPEnv, mdp=mdp)` gives it the id pg/Mine-v0.

    ## Description
    A finite Markov decision process, fully observed: the observation is the state.

    ## Action Space
    `Discrete(A)`.

    ## Observation Space
    `Discrete(S)`: the state.

    ## Rewards
    r(s, a, s').

    ## Starting State
    Drawn from the initial distribution.

    ## Episode End
    The episode terminates in a terminal state; without one the task is continuing.

    ## Arguments
    - `mdp`: the process, a `TabularMDP`. The environment does not use its discount.

    ## References
    Puterman, "Markov Decision Processes", 1994.

    ## Version History
    - v0: first version.
    """

    vector_form: ClassVar[type[RowsVectorEnv]] = MDPVectorEnv
    rows: MDPVectorEnv

    def __init__(self, mdp: TabularMDP, render_mode: str | None = None) -> None:
        super().__init__(render_mode, mdp=mdp)

    @property
    def mdp(self) -> TabularMDP:
        """The environment's process."""
        return self.rows.mdp


class ProblemVectorEnv(MDPVectorEnv):
    """B rows that play the process built by the function `problem` from the further arguments."""

    problem: ClassVar[Callable[..., TabularMDP]]
    state_names: ClassVar[Callable[..., list[str]] | None] = None
    """The names of the states, as a function of the further arguments; None: they are called by their numbers."""

    def __init__(
        self,
        num_envs: int = 1,
        *,
        max_episode_steps: int | None = None,
        autoreset_mode: AutoresetMode = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        **arguments: Any,  # noqa: ANN401 - the problem's own
    ) -> None:
        super().__init__(
            type(self).problem(**arguments),
            num_envs,
            max_episode_steps=max_episode_steps,
            autoreset_mode=autoreset_mode,
            render_mode=render_mode,
        )
        names = type(self).state_names
        if names is not None:
            self.metadata["state_names"] = names(**arguments)


class ProblemEnv(MDPEnv):
    """The single form of a `ProblemVectorEnv`, which a subclass names in `vector_form`."""

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:  # noqa: ANN401
        RowEnv.__init__(self, render_mode, **arguments)


def _known_returns(mdp: TabularMDP, limit: int | None) -> KnownReturns:
    episodic = limit is not None or bool(mdp.terminal.any())

    def value(policy: FloatArray | None) -> float | None:
        try:
            if limit is not None:
                return expected_return(mdp, limit, policy)
            if episodic:
                return evaluate(mdp, policy, "total").objective
            return float(mdp.initial @ gains(mdp, policy))
        except ValueError:  # an episode that may never end, a sum without bound, too many states to solve
            return None

    return KnownReturns(value(uniform_policy(mdp)), value(None), "episode" if episodic else "step")


def _inverse(distributions: FloatArray) -> tuple[NDArray[np.int64], FloatArray]:
    """Return for each row of [N, S] its possible outcomes, [N, K], and thresholds for a uniform number, [K - 1, N].

    u selects outcome number Σ_k [threshold_k <= u]; thresholds after a row's last outcome are infinite.
    """
    possible = distributions > 0
    counts = possible.sum(1)
    outcomes = np.argsort(~possible, axis=1, kind="stable")[:, : counts.max()]
    thresholds = np.take_along_axis(distributions, outcomes, 1).cumsum(1)[:, :-1]
    thresholds[np.arange(thresholds.shape[1]) >= counts[:, None] - 1] = np.inf
    return outcomes, np.ascontiguousarray(thresholds.T)
