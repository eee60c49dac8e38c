"""Returns beside what is known: the optimum and a random policy's, and the best action's rewards."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pg_agents.statistics.values import Values, checked, numbers

Array = NDArray[np.floating]


def normalized_scores(values: Values, optimum: float, random: float = 0.0) -> Array:
    """Return (x − random) / (optimum − random), [n]: 1 for the best policy, 0 for the random one.

    Args:
        values: returns, one for each run.
        optimum: the best policy's expected return.
        random: the random policy's expected return.

    Raises:
        ValueError: no values, a number that is not finite, or an optimum that is no more than `random`.
    """
    span = optimum - random
    if not (np.isfinite(span) and span > 0):
        raise ValueError(f"optimum must be finite and more than random ({random}), got {optimum}")
    return (checked(values) - random) / span


def optimality_gap(values: Values, optimum: float, random: float | None = None) -> float:
    """Return how much runs lack on average of the optimum, 1/n Σ max(0, optimum − xᵢ).

    With `random` it is divided by optimum − random: 0 for the best policy, 1 for the random one, more for worse ones.
    A run that returned more than the optimum, by luck, lacks nothing, so that it makes up for no other
    (Agarwal et al., 2021, arXiv:2108.13264, where a threshold stands for an optimum that is not known).

    Args:
        values: returns, one for each run.
        optimum: the best policy's expected return.
        random: the random policy's expected return; None: the gap is in units of the return.

    Raises:
        ValueError: no values, a number that is not finite, or an optimum that is no more than `random`.
    """
    if random is not None:
        return float(np.maximum(0, 1 - normalized_scores(values, optimum, random)).mean())
    if not np.isfinite(optimum):
        raise ValueError(f"optimum must be finite, got {optimum}")
    return float(np.maximum(0, optimum - checked(values)).mean())


def regret(rewards: ArrayLike, best: ArrayLike) -> Array:
    """Return what was lost up to each step by not taking the best action, Σ_{s ≤ t} (best_s − r_s), [..., T].

    With the expected rewards of the actions taken in the place of what was received, it is the pseudo-regret, which
    varies less (Lattimore and Szepesvári, 2020, Bandit Algorithms, chapter 4). That of a run is the last number.

    Args:
        rewards: [T], or [n, T] of several runs.
        best: the expected reward of the best action, or [T] (or [n, T]) where it depends on the step.

    Raises:
        ValueError: no steps, shapes that do not fit, a number that is not finite.
    """
    received, most = numbers(rewards, "rewards"), numbers(best, "best")
    if not received.size or received.ndim not in (1, 2):
        raise ValueError(f"rewards must be [T] or [n, T] with at least one step, got the shape {received.shape}")
    if most.shape not in ((), received.shape[-1:], received.shape):
        raise ValueError(f"best must be a number or of the shape of a run's rewards, got the shape {most.shape}")
    for name, array in (("rewards", received), ("best", most)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite, got {array[~np.isfinite(array)][0]}")
    return np.cumsum(most - received, axis=-1)


def area_under_curve(steps: Values, returns: Values) -> float:
    """Return the mean height of a learning curve, the area under its straight lines over the steps that it spans.

    1 / (s_T − s_1) Σ_t (s_{t+1} − s_t) (r_t + r_{t+1}) / 2, in units of the return: what the agent returned on average
    while it learned, which also tells agents apart that end equally well.

    Args:
        steps: [T], ascending, at least two.
        returns: [T], at these steps.

    Raises:
        ValueError: fewer than two points, lengths that differ, steps that do not ascend, a number that is not finite.
    """
    at, heights = checked(steps, "steps"), checked(returns, "returns")
    if len(at) != len(heights) or len(at) < 2:
        raise ValueError(f"steps and returns must be equally many, at least 2, got {len(at)} and {len(heights)}")
    if not (np.diff(at) > 0).all():
        raise ValueError(f"steps must ascend, got {at[1:][np.diff(at) <= 0][0]:g} after a step that is no less")
    return float(np.diff(at) @ (heights[1:] + heights[:-1]) / 2 / (at[-1] - at[0]))
