"""Values under a time limit, by backward induction."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pg_envs.core.mdp import FloatArray, TabularMDP
from pg_envs.solve.policies import check_policy


def action_values(mdp: TabularMDP, values: FloatArray, discount: float = 1.0) -> FloatArray:
    """Back next-state values [S] up by one step: Q(s,a) = Σ_s' P(s'|s,a) (r(s,a,s') + γ V(s')), [S, A].

    If V(s') is NaN (undefined), so is Q(s,a) for actions that may lead to s'.
    """
    undefined = np.isnan(values)
    q_values = mdp.expected_rewards + discount * (mdp.transitions @ np.where(undefined, 0.0, values))
    if undefined.any():
        q_values[(mdp.transitions[:, :, undefined] > 0).any(2)] = np.nan
    return q_values


def finite_horizon_values(
    mdp: TabularMDP, horizon: int, policy: ArrayLike | None = None, discount: float = 1.0
) -> FloatArray:
    """Return values under a time limit, for every number of remaining steps, by backward induction.

    V_T = 0,   V_t(s) = Σ_a π_t(a|s) Q_t(s,a),   Q_t(s,a) = Σ_s' P(s'|s,a) (r(s,a,s') + γ V_{t+1}(s'))

    Without a policy the sum over actions is a maximum, and the values are those of the best policy that may depend
    on the time (Puterman, 1994, section 4.5).

    Args:
        mdp: the decision process, of any size.
        horizon: T, the step at which every episode is cut.
        policy: π, [S, A], or [T, S, A] for one that changes with time; None: the optimal one.
        discount: γ.

    Returns:
        V, [T + 1, S]; V[0] is the value with T steps left.

    Raises:
        ValueError: a negative horizon, or a policy that is not a distribution over actions in every state and step.
    """
    if horizon < 0:
        raise ValueError(f"horizon must be at least 0, got {horizon}")
    policies = None if policy is None else _at_every_step(check_policy(mdp, policy), horizon)
    values = np.zeros((horizon + 1, mdp.num_states))
    for t in reversed(range(horizon)):
        q_values = action_values(mdp, values[t + 1], discount)  # [S, A]
        values[t] = q_values.max(1) if policies is None else (policies[t] * q_values).sum(1)
    return values


def expected_return(mdp: TabularMDP, horizon: int, policy: ArrayLike | None = None, discount: float = 1.0) -> float:
    """Return E[Σ_{t<T} γ^t R_{t+1}] from the initial distribution; arguments as `finite_horizon_values`."""
    return float(mdp.initial @ finite_horizon_values(mdp, horizon, policy, discount)[0])


def _at_every_step(policy: FloatArray, horizon: int) -> FloatArray:
    """Return a policy [S, A] or [T, S, A] as [T, S, A]."""
    if policy.ndim > 3 or (policy.ndim == 3 and len(policy) != horizon):
        wanted = (horizon, *policy.shape[-2:])
        raise ValueError(f"policy must have shape [T, S, A] = {wanted} or [S, A], got {policy.shape}")
    return np.broadcast_to(policy, (horizon, *policy.shape[-2:]))
