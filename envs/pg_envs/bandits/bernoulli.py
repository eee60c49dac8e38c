"""Bandits with rewards of 0 and 1: without context (`BernoulliBandit`) and with it (`ContextualBandit`)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete
from numpy.typing import NDArray

from pg_envs.core.blocks import Rows
from pg_envs.core.known import KnownReturns
from pg_envs.core.rows import RowEnv, RowsVectorEnv


class BanditVector(RowsVectorEnv):
    """B bandits side by side: a pull is an episode of one step, and there is nothing to observe.

    A subclass writes `_pull` and `expected_rewards`; each pull draws once from its row's generator.

    Args:
        num_envs: B, the number of rows.
        num_arms: k, the number of actions.
        num_contexts: n, the number of observations.
        form: `max_episode_steps`, `autoreset_mode` and `render_mode` of `RowsVectorEnv`.

    Raises:
        ValueError: fewer than one arm.
    """

    def __init__(self, num_envs: int, num_arms: int, num_contexts: int = 1, **form: Any) -> None:  # noqa: ANN401
        if num_arms < 1:
            raise ValueError(f"num_arms: a bandit must have at least one arm, got {num_arms}")
        super().__init__(num_envs, Discrete(num_contexts), Discrete(num_arms), **form)
        self.num_arms = num_arms

    @abstractmethod
    def _pull(self, arms: NDArray[np.int64], rows: Rows) -> NDArray[np.float64]:
        """Return the rewards of pulling `arms` in `rows`, [len(rows)] both."""

    @abstractmethod
    def expected_rewards(self) -> NDArray[np.float64]:
        """Return the expected reward of each arm at the next pull, [B, k], from which regret is computed."""

    def _start(self, rows: Rows) -> None:
        """Nothing changes between the pulls of a bandit without context."""

    def _move(self, actions: NDArray[Any], rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        return self._pull(actions, rows), np.ones(len(rows), bool)

    def _observe(self) -> NDArray[np.int64]:
        return np.zeros(self.num_envs, np.int64)


class Bandit(RowEnv):
    """A single bandit: row 0 of a `BanditVector`."""

    rows: BanditVector

    def expected_rewards(self) -> NDArray[np.float64]:
        """Return the expected reward of each arm at the next pull, [k]."""
        return self.rows.expected_rewards()[0]


class BernoulliBanditVector(BanditVector):
    """The vector form of `BernoulliBandit`.

    Args:
        num_envs: B, the number of rows.
        probabilities: p, each arm's probability of paying 1, [k].
        form: see `BanditVector`.

    Raises:
        ValueError: a probability outside [0, 1], or not a list of numbers.
    """

    changing = ("uniforms",)

    def __init__(self, num_envs: int, probabilities: Sequence[float] = (0.6, 0.4), **form: Any) -> None:  # noqa: ANN401
        self.probabilities = _probabilities(probabilities, dimensions=1)
        super().__init__(num_envs, len(self.probabilities), **form)

    def _pull(self, arms: NDArray[np.int64], rows: Rows) -> NDArray[np.float64]:
        return (self.uniforms.take(rows) < self.probabilities[arms]).astype(np.float64)

    def expected_rewards(self) -> NDArray[np.float64]:
        """Return p for every row, [B, k]."""
        return np.tile(self.probabilities, (self.num_envs, 1))

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the mean and the largest of p."""
        return KnownReturns(random=float(self.probabilities.mean()), optimal=float(self.probabilities.max()))


class BernoulliBandit(Bandit):
    """A k-armed bandit whose arms pay 1 or 0.

    ## Description
    Arm a pays 1 with probability p_a and 0 otherwise, R ~ Bernoulli(p_A). One pull is an episode. With p = (0.6, 0.4)
    (`pg/TwoArmedBandit-v0`) the policy gradient finds the better arm within a thousand pulls; with p = (0.96, 0.94)
    (`pg/TwoArmedBanditClose-v0`) nearly every pull is rewarded, and without a baseline some learners settle on the
    worse arm for a long time.

    ## Action Space
    `Discrete(k)`: the arm to pull.

    ## Observation Space
    `Discrete(1)`: always 0.

    ## Rewards
    1 with probability `probabilities[action]`, else 0.

    ## Starting State
    There is one state.

    ## Episode End
    Terminated after one pull.

    ## Arguments
    `probabilities=(0.6, 0.4)`: each arm's probability of paying 1, k numbers in [0, 1].

    ## References
    B. Van Roy, lecture note on policy gradients, section 1, figures 1 and 2.

    ## Version History
    v0: first version.
    """

    vector_form = BernoulliBanditVector


class ContextualBanditVector(BanditVector):
    """The vector form of `ContextualBandit`.

    Args:
        num_envs: B, the number of rows.
        probabilities: p, each arm's probability of paying 1 in each context, [n, k].
        form: see `BanditVector`.

    Raises:
        ValueError: a probability outside [0, 1], or not a table of numbers.
    """

    changing = ("uniforms", "contexts")

    def __init__(
        self,
        num_envs: int,
        probabilities: Sequence[Sequence[float]] = ((0.9, 0.5, 0.1), (0.1, 0.9, 0.5), (0.5, 0.1, 0.9)),
        **form: Any,  # noqa: ANN401
    ) -> None:
        self.probabilities = _probabilities(probabilities, dimensions=2)
        num_contexts, num_arms = self.probabilities.shape
        super().__init__(num_envs, num_arms, num_contexts, **form)
        self.contexts = np.zeros(num_envs, np.int64)

    def _start(self, rows: Rows) -> None:
        self.contexts[self._index(rows)] = self.uniforms.take(rows) * len(self.probabilities)  # rounded down

    def _pull(self, arms: NDArray[np.int64], rows: Rows) -> NDArray[np.float64]:
        probabilities = self.probabilities[self.contexts[self._index(rows)], arms]
        return (self.uniforms.take(rows) < probabilities).astype(np.float64)

    def _observe(self) -> NDArray[np.int64]:
        return self.contexts.copy()

    def expected_rewards(self) -> NDArray[np.float64]:
        """Return p in each row's current context, [B, k]."""
        return self.probabilities[self.contexts]

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the mean of p, and the mean over contexts of the largest p."""
        return KnownReturns(
            random=float(self.probabilities.mean()), optimal=float(self.probabilities.max(axis=1).mean())
        )


class ContextualBandit(Bandit):
    """A k-armed bandit that shows, before each pull, which of n payout tables applies.

    ## Description
    The context S is uniform on 0 … n − 1 and arm a pays R ~ Bernoulli(p[S, a]). One pull is an episode. In the default
    table every arm pays 0.5 on average over contexts, and the best arm of each context pays 0.9: a policy that does not
    look at the context gets 0.5 at best.

    ## Action Space
    `Discrete(k)`: the arm to pull.

    ## Observation Space
    `Discrete(n)`: the context. The observation after the pull is the same context.

    ## Rewards
    1 with probability `probabilities[context][action]`, else 0.

    ## Starting State
    A context drawn uniformly.

    ## Episode End
    Terminated after one pull.

    ## Arguments
    `probabilities`: each arm's probability of paying 1 in each context, n lists of k numbers in [0, 1].

    ## References
    R. Sutton and A. Barto, Reinforcement Learning: An Introduction, 2nd edition, section 2.9 (associative search).

    ## Version History
    v0: first version.
    """

    vector_form = ContextualBanditVector


def _probabilities(values: Any, dimensions: int) -> NDArray[np.float64]:  # noqa: ANN401 - nested sequences
    """Return `values` as an array of `dimensions` axes with entries in [0, 1]."""
    try:
        probabilities = np.array(values, np.float64)
    except ValueError as error:
        raise ValueError(f"probabilities: every context must have the same number of arms, got {values}") from error
    if probabilities.ndim != dimensions or probabilities.size == 0:
        shape = ("k", "n_contexts × k")[dimensions - 1]
        raise ValueError(f"probabilities must be {shape} numbers, got {values}")
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise ValueError(f"probabilities must lie between 0 and 1, got {values}")
    return probabilities
