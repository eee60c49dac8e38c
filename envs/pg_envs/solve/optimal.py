"""Optimal policies by policy iteration (Howard, 1960): evaluate exactly, switch where an action is better, repeat.

A policy is here one action in each state, [S]. An action counts as better only if it is better by more than the
tolerance; otherwise the current action is kept, so that a policy that ends episodes goes on ending them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pg_envs.core.mdp import FloatArray, TabularMDP
from pg_envs.solve.chains import BoolArray, IntArray, gain_and_bias, reachable, recurrent_classes
from pg_envs.solve.evaluation import Criterion, evaluate_policy, single_class
from pg_envs.solve.horizon import action_values
from pg_envs.solve.policies import induced

MAX_ITERATIONS = 10_000


def optimal_policy(mdp: TabularMDP, criterion: Criterion, discount: float, tolerance: float) -> FloatArray:
    """Return a deterministic policy, one-hot [S, A], that no single change of action improves; see `evaluate`."""
    if criterion == "discounted":
        first, allowed = mdp.expected_rewards.argmax(1), np.ones(mdp.expected_rewards.shape, bool)
    elif criterion == "total":
        first, allowed = _ending_actions(mdp, tolerance)
    else:
        first, allowed = _gain_optimal_actions(mdp, tolerance)

    def q_values(actions: IntArray) -> FloatArray:
        return evaluate_policy(mdp, _one_hot(mdp, actions), criterion, discount).action_values

    return _one_hot(mdp, _improved(first, allowed, q_values, tolerance))


def optimal_gains(mdp: TabularMDP, tolerance: float, first: IntArray | None = None) -> tuple[FloatArray, IntArray]:
    """Return the optimal gain from every state, [S], and actions that attain it, [S], for processes of any structure.

    g*(s) = max_a Σ_s' P(s'|s,a) g*(s'),   g*(s) + h(s) = max_a r(s,a) + Σ_s' P(s'|s,a) h(s')  over the first one's a

    Reference: Puterman, "Markov Decision Processes", 1994, section 9.2.
    """
    actions = mdp.expected_rewards.argmax(1) if first is None else first
    for _ in range(MAX_ITERATIONS):
        chain, rewards = induced(mdp, _one_hot(mdp, actions))
        gain, bias = gain_and_bias(chain, rewards, recurrent_classes(chain))
        ahead = mdp.transitions @ gain  # [S, A]
        better = _switched(actions, ahead, tolerance)
        if (better == actions).all():
            best = ahead >= ahead.max(1, keepdims=True) - tolerance * _scale(ahead)
            better = _switched(actions, np.where(best, action_values(mdp, bias), -np.inf), tolerance)
        if (better == actions).all():
            return gain, actions
        actions = better
    raise _not_settled(tolerance)


def _improved(
    actions: IntArray, allowed: BoolArray, q_values: Callable[[IntArray], FloatArray], tolerance: float
) -> IntArray:
    """Return the actions, [S], at which policy iteration over the `allowed` actions, [S, A], converges."""
    for _ in range(MAX_ITERATIONS):
        q = q_values(actions)
        better = _switched(actions, np.where(allowed & ~np.isnan(q), q, -np.inf), tolerance)
        if (better == actions).all():
            return actions
        actions = better
    raise _not_settled(tolerance)


def _switched(actions: IntArray, q_values: FloatArray, tolerance: float) -> IntArray:
    """Return, [S], the best action by Q, [S, A], where it is better than the current action, else the current one."""
    present = np.take_along_axis(q_values, actions[:, None], 1)[:, 0]
    better = q_values.max(1) > present + tolerance * _scale(q_values)
    return np.where(better & (present > -np.inf), q_values.argmax(1), actions)


def _ending_actions(mdp: TabularMDP, tolerance: float) -> tuple[IntArray, BoolArray]:
    """Return actions, [S], that end the episode with probability 1, and all actions that keep this possible, [S, A]."""
    if not mdp.terminal.any():
        return np.zeros(mdp.num_states, np.int64), np.ones(
            mdp.expected_rewards.shape, bool
        )  # evaluation raises the error
    actions, allowed, sure = _leading_to(mdp, mdp.terminal, np.ones(mdp.expected_rewards.shape, bool))
    visited = reachable(mdp.transitions.max(1) > 0, mdp.initial > 0)
    gains = np.where(visited, optimal_gains(mdp, tolerance, actions)[0], 0.0)
    if gains.max() > tolerance * _scale(mdp.expected_rewards):
        state = gains.argmax()
        raise ValueError(
            f"mdp has no largest total reward: from state {state} a policy collects {gains[state]:.6g} a step for ever "
            "instead of ending the episode: use criterion='discounted' or 'average', or a horizon"
        )
    lost = (mdp.initial > 0) & ~sure
    if lost.any():
        raise ValueError(
            f"mdp: no policy ends the episode with probability 1 from state {lost.argmax()}, where episodes begin, so "
            "that the total reward is not defined: use criterion='discounted' or a horizon (finite_horizon_values)"
        )
    return actions, allowed


def _gain_optimal_actions(mdp: TabularMDP, tolerance: float) -> tuple[IntArray, BoolArray]:
    """Return actions, [S], of optimal gain with one recurrent class, and all actions that lead to it at that gain.

    If several classes have the optimal gain, all states that can reach one of them with probability 1, without loss of
    gain, are led to that class.
    """
    gains, actions = optimal_gains(mdp, tolerance)
    chain, _ = induced(mdp, _one_hot(mdp, actions))
    visited = reachable(chain > 0, mdp.initial > 0)
    for members in recurrent_classes(chain):
        same = np.abs(gains - gains[members[0]]) <= tolerance * _scale(mdp.expected_rewards)
        keeping = same[:, None] & (mdp.transitions[:, :, ~same].sum(2) == 0)
        inside = np.isin(np.arange(mdp.num_states), members)
        there, allowed, sure = _leading_to(mdp, inside, keeping)
        if visited[members[0]] and sure[mdp.initial > 0].all():
            return np.where(inside | ~sure, actions, there), allowed
    single_class(mdp, chain)  # names the classes that cannot be joined
    raise AssertionError("a chain of one class leads there")


def _leading_to(mdp: TabularMDP, targets: BoolArray, allowed: BoolArray) -> tuple[IntArray, BoolArray, BoolArray]:
    """Return actions [S] that reach `targets` with probability 1, all that keep it possible [S, A], and from where [S].

    States without a path to the targets are dropped, and so are actions that may lead to them, until every state left
    has a path; each action then leads one step nearer with positive probability. In the targets actions are 0.
    """
    edges = mdp.transitions > 0
    sure = np.ones(mdp.num_states, bool)
    while True:
        allowed = allowed & ~edges[:, :, ~sure].any(2)
        actions, found = np.zeros(mdp.num_states, np.int64), targets.copy()
        frontier = targets
        while frontier.any():
            nearer = edges[:, :, frontier].any(2) & allowed  # [S, A]
            frontier = nearer.any(1) & ~found
            actions[frontier] = nearer[frontier].argmax(1)
            found |= frontier
        if (found == sure).all():
            return actions, allowed, sure
        sure = found


def _one_hot(mdp: TabularMDP, actions: IntArray) -> FloatArray:
    return np.eye(mdp.num_actions)[actions]


def _scale(array: FloatArray) -> float:
    """Return max(1, max |x|) over the finite entries."""
    return max(1.0, float(np.abs(array[np.isfinite(array)]).max(initial=0.0)))


def _not_settled(tolerance: float) -> ValueError:
    return ValueError(
        f"policy iteration did not converge in {MAX_ITERATIONS} iterations: tolerance {tolerance} may be below the "
        "rounding error, give a larger one"
    )
