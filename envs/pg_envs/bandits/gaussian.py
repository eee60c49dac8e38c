"""Bandits with normal rewards: fixed arms (`GaussianBandit`) and drifting ones (`NonStationaryBandit`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pg_envs.bandits.bernoulli import Bandit, BanditVector
from pg_envs.core.blocks import Blocks, Rows, normal
from pg_envs.core.known import KnownReturns


class GaussianBanditVector(BanditVector):
    """The vector form of `GaussianBandit`: every row has its own arms, unless `means` are given.

    Args:
        num_envs: B, the number of rows.
        num_arms: k; with `means` it follows from them.
        means: q*, the same arms for every row, [k]; None: q*(a) ~ N(0, 1), drawn when the row is seeded.
        reward_std: standard deviation of a reward around its arm's mean.
        form: see `BanditVector`.

    Raises:
        ValueError: means that are not a list of finite numbers, fewer than one arm, a negative reward_std.
    """

    changing = ("noise", "means")

    def __init__(
        self,
        num_envs: int,
        num_arms: int = 10,
        means: Sequence[float] | None = None,
        reward_std: float = 1.0,
        **form: Any,  # noqa: ANN401
    ) -> None:
        _check_std("reward_std", reward_std)
        self.given = None if means is None else np.array(means, np.float64)
        if self.given is not None and (self.given.ndim != 1 or not np.isfinite(self.given).all()):
            raise ValueError(f"means must be k finite numbers, one for each arm, got {means}")
        super().__init__(num_envs, num_arms if self.given is None else len(self.given), **form)
        self.reward_std = reward_std
        self.means = np.zeros((num_envs, self.num_arms))  # q*, [B, k]

    def _seed(self, generators: Sequence[np.random.Generator]) -> None:
        drawn = [generator.standard_normal(self.num_arms) for generator in generators]
        self.means[:] = np.stack(drawn) if self.given is None else self.given
        self.noise = Blocks(generators, normal)

    def _pull(self, arms: NDArray[np.int64], rows: Rows) -> NDArray[np.float64]:
        return self.means[rows, arms] + self.reward_std * self.noise.take(rows)

    def expected_rewards(self) -> NDArray[np.float64]:
        """Return q*, [B, k]."""
        return self.means.copy()

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return the mean and the largest of the given q*; if q* is drawn, both in expectation over the draw."""
        if self.given is None:
            return KnownReturns(random=0.0, optimal=expected_maximum(self.num_arms))
        return KnownReturns(random=float(self.given.mean()), optimal=float(self.given.max()))


class GaussianBandit(Bandit):
    """A k-armed bandit with normally distributed rewards: the k-armed testbed.

    ## Description
    Arm a pays R ~ N(q*(a), `reward_std`²), where q*(a) ~ N(0, 1) is drawn once, when the environment is seeded; a
    reset without a seed keeps the arms. One pull is an episode. `expected_rewards()` returns q*. In expectation over
    arms, the best of 10 pays 1.539 and a random one 0.

    ## Action Space
    `Discrete(k)`: the arm to pull.

    ## Observation Space
    `Discrete(1)`: always 0.

    ## Rewards
    Normal with mean q*(action) and standard deviation `reward_std`.

    ## Starting State
    There is one state.

    ## Episode End
    Terminated after one pull.

    ## Arguments
    `num_arms=10`: k, if the means are drawn.
    `means=None`: q*, k numbers; None: they are drawn.
    `reward_std=1.0`: standard deviation of the rewards.

    ## References
    R. Sutton and A. Barto, Reinforcement Learning: An Introduction, 2nd edition, section 2.3.

    ## Version History
    v0: first version.
    """

    vector_form = GaussianBanditVector


class NonStationaryBanditVector(BanditVector):
    """The vector form of `NonStationaryBandit`: the arms of each row drift independently.

    Args:
        num_envs: B, the number of rows.
        num_arms: k.
        walk_std: standard deviation of an arm's step, taken after each pull.
        reward_std: standard deviation of a reward around its arm's mean.
        form: see `BanditVector`.

    Raises:
        ValueError: fewer than one arm, a negative standard deviation.
    """

    changing = ("normals", "means")

    def __init__(
        self,
        num_envs: int,
        num_arms: int = 10,
        walk_std: float = 0.01,
        reward_std: float = 1.0,
        **form: Any,  # noqa: ANN401
    ) -> None:
        _check_std("walk_std", walk_std)
        _check_std("reward_std", reward_std)
        super().__init__(num_envs, num_arms, **form)
        self.walk_std, self.reward_std = walk_std, reward_std
        self.means = np.zeros((num_envs, num_arms))  # q*, [B, k]

    def _seed(self, generators: Sequence[np.random.Generator]) -> None:
        self.means[:] = 0.0
        self.normals = Blocks(generators, partial(_normal_vectors, width=1 + self.num_arms), size=64)

    def _pull(self, arms: NDArray[np.int64], rows: Rows) -> NDArray[np.float64]:
        normals = self.normals.take(rows)  # [len(rows), 1 + k]: noise of the reward, then each arm's step
        rewards = self.means[rows, arms] + self.reward_std * normals[:, 0]
        self.means[self._index(rows)] += self.walk_std * normals[:, 1:]
        return rewards

    def expected_rewards(self) -> NDArray[np.float64]:
        """Return the current q*, [B, k]."""
        return self.means.copy()

    def known_returns(self, max_episode_steps: int | None = None) -> KnownReturns:
        """Return 0 for the random policy; the best policy's return grows with the walk and has no closed form."""
        return KnownReturns(random=0.0)


class NonStationaryBandit(Bandit):
    """A k-armed bandit whose arms drift apart, so that learned values become outdated.

    ## Description
    All arms begin at q*(a) = 0. A pull of arm a pays R ~ N(q*(a), `reward_std`²), and then every arm takes a step,
    q*(a) ← q*(a) + N(0, `walk_std`²). One pull is an episode, and the walk goes on from one episode to the next: a
    reset with a seed takes the arms back to 0, a reset without one does not.

    ## Action Space
    `Discrete(k)`: the arm to pull.

    ## Observation Space
    `Discrete(1)`: always 0.

    ## Rewards
    Normal with mean q*(action) and standard deviation `reward_std`.

    ## Starting State
    There is one observable state; q* is hidden.

    ## Episode End
    Terminated after one pull.

    ## Arguments
    `num_arms=10`: k.
    `walk_std=0.01`: standard deviation of the arms' steps.
    `reward_std=1.0`: standard deviation of the rewards.

    ## References
    R. Sutton and A. Barto, Reinforcement Learning: An Introduction, 2nd edition, section 2.5 and exercise 2.5.

    ## Version History
    v0: first version.
    """

    vector_form = NonStationaryBanditVector


def expected_maximum(count: int) -> float:
    """Return the expected largest of `count` independent standard normal numbers, k ∫ x φ(x) Φ(x)^(k−1) dx.

    The trapezoidal rule is exact here to rounding: the integrand is analytic and vanishes at both ends.
    """
    grid, step = np.linspace(-12, 12, 2401, retstep=True)
    density = np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    cumulative = np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in grid])
    return float(count * (grid * density * cumulative ** (count - 1)).sum() * step)


def _normal_vectors(generator: np.random.Generator, size: int, width: int) -> NDArray[np.float64]:
    return generator.standard_normal((size, width))


def _check_std(name: str, value: float) -> None:
    if not 0 <= value < math.inf:
        raise ValueError(f"{name} is a standard deviation and must be a finite number of at least 0, got {value}")
