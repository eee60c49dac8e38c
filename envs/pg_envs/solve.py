"""Exact values, gains and optima of a `TabularMDP`: pure functions, in which policy None stands for the optimal one.

Values here are undiscounted unless `discount` is given: an objective's discount belongs to the objective.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pg_envs.mdp import FloatArray, TabularMDP


def uniform_policy(mdp: TabularMDP) -> FloatArray:
    """Return the policy π(a|s) = 1/A, [S, A]."""
    return np.full((mdp.num_states, mdp.num_actions), 1 / mdp.num_actions)


def action_values(mdp: TabularMDP, values: FloatArray, discount: float = 1.0) -> FloatArray:
    """Back next-state values [S] up by one step: Q(s,a) = Σ_s' P(s'|s,a) (r(s,a,s') + γ V(s')), [S, A]."""
    return mdp.expected_rewards + discount * (mdp.transitions @ values)


def finite_horizon_values(
    mdp: TabularMDP, horizon: int, policy: ArrayLike | None = None, discount: float = 1.0
) -> FloatArray:
    """Return the values of the steps that are left before a time limit, by backward induction.

    V_T = 0,   V_t(s) = Σ_a π_t(a|s) Q_t(s,a),   Q_t(s,a) = Σ_s' P(s'|s,a) (r(s,a,s') + γ V_{t+1}(s'))

    Without a policy the sum over actions is a maximum, and the values are those of the best policy that may look at
    the clock (Puterman, 1994, section 4.5).

    Args:
        mdp: the decision process.
        horizon: T, the step at which every episode is cut.
        policy: π, [S, A], or [T, S, A] for one that changes with time; None: the optimal one.
        discount: γ.

    Returns:
        V, [T + 1, S]; V[0] is worth T steps.

    Raises:
        ValueError: a negative horizon, or a policy that is not a distribution over actions in every state.
    """
    if horizon < 0:
        raise ValueError(f"horizon must be at least 0, got {horizon}")
    policies = None if policy is None else np.broadcast_to(_checked(mdp, policy), (horizon, *_shape(mdp)))
    values = np.zeros((horizon + 1, mdp.num_states))
    for t in reversed(range(horizon)):
        q_values = action_values(mdp, values[t + 1], discount)  # [S, A]
        values[t] = q_values.max(1) if policies is None else (policies[t] * q_values).sum(1)
    return values


def expected_return(mdp: TabularMDP, horizon: int, policy: ArrayLike | None = None, discount: float = 1.0) -> float:
    """Return E[Σ_{t<T} γ^t R_{t+1}] from the initial distribution; the arguments of `finite_horizon_values`."""
    return float(mdp.initial @ finite_horizon_values(mdp, horizon, policy, discount)[0])


def total_values(
    mdp: TabularMDP, policy: ArrayLike | None = None, *, tolerance: float = 1e-10, max_sweeps: int = 10_000
) -> FloatArray:
    """Return the expected undiscounted reward until the episode ends, V(s) = E[Σ_{t≥0} R_{t+1} | S_0 = s], [S].

    A policy's values solve V = r_π + P_π V, exactly. Without a policy it is value iteration, until no value changes by
    more than `tolerance`. NaN marks the states from which the total is not defined: the policy may never end the
    episode, or values still change after `max_sweeps`.
    """
    if policy is not None:
        return _policy_total(mdp, _checked(mdp, policy))
    values, change = np.zeros(mdp.num_states), np.full(mdp.num_states, np.inf)
    for _ in range(max_sweeps):
        backed_up = action_values(mdp, values).max(1)
        change, values = np.abs(backed_up - values), backed_up
        if change.max() <= tolerance:
            break
    return np.where(change <= tolerance, values, np.nan)


def stationary_distribution(mdp: TabularMDP, policy: ArrayLike) -> FloatArray:
    """Return the long-run share of time that a policy spends in each state, [S].

    μ = lim_T (1/T) Σ_{t<T} ρ P_π^t with the initial distribution ρ: it exists for periodic chains and for several
    recurrent classes too. The chain ½(I + P_π), which has the same limit and no period, is squared until it stands.
    """
    chain = np.einsum("sa,san->sn", _checked(mdp, policy), mdp.transitions)
    power = (np.eye(mdp.num_states) + chain) / 2
    for _ in range(64):
        squared = power @ power
        squared /= squared.sum(1, keepdims=True)  # rounding would otherwise double with every squaring
        settled = np.abs(squared - power).max() < 1e-15
        power = squared
        if settled:
            break
    return mdp.initial @ power


def gain(
    mdp: TabularMDP, policy: ArrayLike | None = None, *, tolerance: float = 1e-9, max_sweeps: int = 100_000
) -> float:
    """Return the long-run average reward per step, λ = Σ_{s,a} μ(s) π(a|s) r(s,a).

    Without a policy it is the optimal gain by relative value iteration, h ← Th − max Th, on the process that stays
    where it is every other step on average (so that no policy is periodic). min (Th − h) ≤ λ* ≤ max (Th − h) bounds it
    to `tolerance` (Puterman, 1994, section 8.5). NaN: the bounds did not meet in `max_sweeps`, because the optimal gain
    depends on the first state.
    """
    if policy is not None:
        occupancy = stationary_distribution(mdp, policy)[:, None] * _checked(mdp, policy)  # [S, A]
        return float((occupancy * mdp.expected_rewards).sum())
    bias = np.zeros(mdp.num_states)
    for _ in range(max_sweeps):
        step = action_values(mdp, bias).max(1) - bias
        if step.max() - step.min() <= tolerance:
            return float(step.max() + step.min()) / 2
        bias += step / 2
        bias -= bias.max()
    return float("nan")


def _policy_total(mdp: TabularMDP, policy: FloatArray) -> FloatArray:
    chain = np.einsum("sa,san->sn", policy, mdp.transitions)
    endless = ~_can_reach(chain > 0, mdp.terminal)  # from here no path of the policy ends
    defined = ~_can_reach(chain > 0, endless)
    inner = np.flatnonzero(defined & ~mdp.terminal)
    values = np.where(defined, 0.0, np.nan)
    rewards = (policy * mdp.expected_rewards).sum(1)
    values[inner] = np.linalg.solve(np.eye(len(inner)) - chain[np.ix_(inner, inner)], rewards[inner])
    return values


def _can_reach(edges: NDArray[np.bool_], targets: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the states, [S], from which a path along `edges` [S, S] leads into `targets` [S]."""
    reached = targets
    while True:
        wider = reached | (edges & reached).any(1)
        if (wider == reached).all():
            return reached
        reached = wider


def _shape(mdp: TabularMDP) -> tuple[int, int]:
    return mdp.num_states, mdp.num_actions


def _checked(mdp: TabularMDP, policy: ArrayLike) -> FloatArray:
    """Return the policy as an array of distributions, [S, A] or [T, S, A]."""
    array = np.asarray(policy, np.float64)
    if array.shape[-2:] != _shape(mdp):
        raise ValueError(f"policy must have shape [S, A] = {_shape(mdp)}, got {array.shape}")
    if not (array >= 0).all() or not np.allclose(array.sum(-1), 1, rtol=0, atol=1e-6):
        raise ValueError("policy must hold probabilities: every row policy[s] non-negative with sum 1")
    return array
