"""Policies as tables: uniform ones, checks, and the Markov chain of a policy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pg_envs.core.mdp import FloatArray, TabularMDP

MAX_STATES = 5000  # dense matrices [S, S] of more take minutes and gigabytes


def uniform_policy(mdp: TabularMDP) -> FloatArray:
    """Return the policy π(a|s) = 1/A, [S, A]."""
    return np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions)


def check_policy(mdp: TabularMDP, policy: ArrayLike) -> FloatArray:
    """Return the policy as distributions in float64, [S, A] or [T, S, A]; rows may be off by float32's rounding error.

    Raises:
        ValueError: a wrong shape, or a row that is not a distribution over actions.
    """
    array = np.asarray(policy, np.float64)
    shape = mdp.num_states, mdp.num_actions
    if array.shape[-2:] != shape:
        raise ValueError(f"policy must have shape [S, A] = {shape}, got {array.shape}")
    sums = array.sum(-1)
    wrong = ~(array >= 0).all(-1) | ~(np.abs(sums - 1) <= 1e-6)  # NaN is not >= 0 either
    if wrong.any():
        first = tuple(np.argwhere(wrong)[0].tolist())
        raise ValueError(
            "policy must hold probabilities, every row policy[s] non-negative with sum 1: "
            f"got {array[first].tolist()} with sum {sums[first]:.9g} in state {first[-1]}"
        )
    return array / sums[..., None]


def check_stationary_policy(mdp: TabularMDP, policy: ArrayLike) -> FloatArray:
    """Return the policy as distributions that do not change with time, [S, A]; raises as `check_policy`."""
    array = check_policy(mdp, policy)
    if array.ndim != 2:
        raise ValueError(
            f"policy must have shape [S, A] = {array.shape[-2:]}, got {array.shape}: "
            "a policy that changes with time has values under a horizon only, see finite_horizon_values"
        )
    return array


def check_size(mdp: TabularMDP) -> None:
    """Raise ValueError if the process has too many states for dense linear algebra."""
    if mdp.num_states > MAX_STATES:
        raise ValueError(
            f"mdp has {mdp.num_states} states, exact solutions use dense matrices, of at most {MAX_STATES}: "
            "drop states that are never reached, use finite_horizon_values (no limit), or estimate from episodes"
        )


def induced(mdp: TabularMDP, policy: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the Markov chain of a policy, P_π(s'|s) = Σ_a π(a|s) P(s'|s,a), [S, S], and r_π(s), [S]."""
    chain = np.einsum("sa,san->sn", policy, mdp.transitions)
    return chain, (policy * mdp.expected_rewards).sum(1)


def name_states(states: ArrayLike) -> str:
    """Write a set of states, {0, 1, 2}; of many states only the first eight."""
    listed = np.asarray(states).tolist()
    more = f", … {len(listed)} states" if len(listed) > 8 else ""
    return "{" + ", ".join(map(str, listed[:8])) + more + "}"
