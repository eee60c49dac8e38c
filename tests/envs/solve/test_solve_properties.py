"""What must hold of every process and policy: Bellman's equations, the performance-difference lemma, gradients."""

from itertools import product

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pg_envs import TabularMDP, solve

CRITERIA = ["discounted", "total", "average"]
SETTINGS = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])


def random_process(criterion, seed, num_states, num_actions, discount):
    """Draw a process that the criterion is defined on under every policy; under no other does an episode end.

    Each move leads to the terminal state (total) or to state 0 (average) with probability 0.1 at least.
    """
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(num_states, 0.4), (num_states, num_actions))
    home = {"discounted": None, "total": num_states - 1, "average": 0}[criterion]
    if home is not None:
        p = 0.9 * p + 0.1 * np.eye(num_states)[home]
    rho = rng.dirichlet(np.ones(num_states))
    terminal = [home] if criterion == "total" else []
    rho[terminal] = 0
    rewards = rng.normal(size=(num_states, num_actions, num_states))
    return TabularMDP(p, rewards, rho / rho.sum(), discount, terminal)


def random_policy(mdp, seed, concentration=0.5):
    return np.random.default_rng(seed).dirichlet(np.full(mdp.num_actions, concentration), mdp.num_states)


cases = given(
    seed=st.integers(0, 2**32 - 1),
    num_states=st.integers(2, 7),
    num_actions=st.integers(1, 4),
    discount=st.floats(0, 0.99),
)
criteria = pytest.mark.parametrize("criterion", CRITERIA)


def backed_up(mdp, values):
    """r(s,a) − λ + γ Σ P V from the tables themselves, in loops."""
    q = np.empty((mdp.num_states, mdp.num_actions))
    for s, a in np.ndindex(*q.shape):
        ahead = mdp.rewards[s, a] + values.discount * values.state_values
        q[s, a] = sum(p * x for p, x in zip(mdp.transitions[s, a], ahead, strict=True)) - values.gain
    return q


def close(actual, expected, tolerance=1e-10):
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@criteria
@SETTINGS
@cases
def test_bellmans_equations_hold(criterion, seed, num_states, num_actions, discount):
    mdp = random_process(criterion, seed, num_states, num_actions, discount)
    policy = random_policy(mdp, seed + 1)
    values = solve.evaluate(mdp, policy, criterion)
    close(values.action_values, backed_up(mdp, values))
    close((policy * values.action_values).sum(1), values.state_values)
    close((policy * values.advantages).sum(1), np.zeros(num_states))
    close(values.state_values[mdp.terminal], 0)
    optimal = solve.evaluate(mdp, None, criterion)
    close(optimal.action_values, backed_up(mdp, optimal))
    close(optimal.action_values.max(1), optimal.state_values, 1e-9)
    assert set(optimal.policy.ravel().tolist()) <= {0.0, 1.0}


@criteria
@SETTINGS
@cases
def test_occupancy_is_dual_to_values(criterion, seed, num_states, num_actions, discount):
    mdp = random_process(criterion, seed, num_states, num_actions, discount)
    policy = random_policy(mdp, seed + 1)
    values = solve.evaluate(mdp, policy, criterion)
    d = solve.occupancy(mdp, policy, criterion)
    assert (d >= 0).all() and not d[mdp.terminal].any()
    close(d @ (policy * mdp.expected_rewards).sum(1), values.objective)
    flow = mdp.initial * (criterion != "average") + values.discount * d @ np.einsum(
        "sa,san->sn", policy, mdp.transitions
    )
    close(flow[~mdp.terminal], d[~mdp.terminal])
    if criterion == "average":
        close(d.sum(), 1)
        close(d @ values.state_values, 0)
        assert values.objective == values.gain
    elif criterion == "discounted":
        close(d.sum(), 1 / (1 - discount))
        close(mdp.initial @ values.state_values, values.objective)


@criteria
@SETTINGS
@cases
def test_the_performance_difference_lemma(criterion, seed, num_states, num_actions, discount):
    """J(π') − J(π) = Σ_s d_π'(s) Σ_a π'(a|s) A_π(s,a) (Kakade and Langford, 2002)."""
    mdp = random_process(criterion, seed, num_states, num_actions, discount)
    old, new = random_policy(mdp, seed + 1), random_policy(mdp, seed + 2)
    values = solve.evaluate(mdp, old, criterion)
    gained = solve.occupancy(mdp, new, criterion) @ (new * values.advantages).sum(1)
    close(solve.evaluate(mdp, new, criterion).objective - values.objective, gained)


@criteria
@SETTINGS
@cases
def test_the_policy_gradient_theorem_against_central_differences(criterion, seed, num_states, num_actions, discount):
    """∇J = Σ_s d(s) Σ_a Q(s,a) ∇π(a|s), along a random direction of softmax logits."""
    mdp = random_process(criterion, seed, num_states, num_actions, discount)
    rng = np.random.default_rng(seed + 3)
    logits, direction = rng.normal(size=(2, num_states, num_actions))

    def softmax(step):
        weights = np.exp(logits + step * direction)
        return weights / weights.sum(1, keepdims=True)

    def objective(step):
        return solve.evaluate(mdp, softmax(step), criterion).objective

    policy, values = softmax(0), solve.evaluate(mdp, softmax(0), criterion)
    slope = policy * (direction - (policy * direction).sum(1, keepdims=True))  # dπ along the direction
    exact = solve.occupancy(mdp, policy, criterion) @ (slope * values.action_values).sum(1)
    h = 1e-4  # fourth order: error h⁴, rounding 1e-16 / h
    numeric = (8 * (objective(h) - objective(-h)) - (objective(2 * h) - objective(-2 * h))) / (12 * h)
    scale = np.abs(values.action_values).max() * solve.occupancy(mdp, policy, criterion).sum()
    assert abs(numeric - exact) <= 1e-8 * max(1.0, scale)


@SETTINGS
@cases
def test_values_are_the_limits_of_long_horizons(seed, num_states, num_actions, discount):
    for criterion in CRITERIA:  # 0.9^600 and 0.99^3000 are below 1e-13
        gamma = discount if criterion == "discounted" else 1.0
        mdp = random_process(criterion, seed, num_states, num_actions, discount)
        policy = random_policy(mdp, seed + 1)
        values = solve.evaluate(mdp, policy, criterion)
        horizon = 3000 if criterion == "discounted" else 600
        left = solve.finite_horizon_values(mdp, horizon, policy, gamma)
        if criterion == "average":
            close((left[0] - left[300]) / 300, values.gain)
            close(left[0] - horizon * values.gain, values.state_values, 1e-8)  # the sum of what is beyond the gain
        else:
            close(left[0], values.state_values, 1e-9)


@criteria
@SETTINGS
@cases
def test_no_policy_is_better_than_the_optimal_one(criterion, seed, num_states, num_actions, discount):
    mdp = random_process(criterion, seed, num_states, num_actions, discount)
    optimal = solve.evaluate(mdp, None, criterion)
    for concentration in (0.05, 1.0):
        other = solve.evaluate(mdp, random_policy(mdp, seed + 1, concentration), criterion)
        assert other.objective <= optimal.objective + 1e-9
        if criterion != "average":
            assert (other.state_values <= optimal.state_values + 1e-9).all()


def sparse_process(seed, num_states, terminal):
    """Draw a process of few ways: classes that cannot be left, loops of gain zero, dead ends."""
    rng = np.random.default_rng(seed)
    p = np.zeros((num_states, 2, num_states))
    for s, a in np.ndindex(num_states, 2):
        ways = int(rng.integers(1, 3))
        p[s, a, rng.choice(num_states, ways, replace=False)] = 1 / ways
    rewards = rng.integers(-1, 3 if not terminal else 1, (num_states, 2)).astype(float)
    return TabularMDP(p, rewards, np.eye(num_states)[0], 1.0, [num_states - 1] if terminal else [])


def deterministic_policies(mdp):
    return [
        np.eye(mdp.num_actions)[list(actions)] for actions in product(range(mdp.num_actions), repeat=mdp.num_states)
    ]


sparse_cases = given(seed=st.integers(0, 2**32 - 1), num_states=st.integers(2, 5))


@settings(SETTINGS, max_examples=150)
@sparse_cases
def test_optimal_gains_of_processes_of_any_structure(seed, num_states):
    """Multichain ones too: the best deterministic policy in each state, its gain a limit of powers of ½(I + P)."""
    mdp = sparse_process(seed, num_states, terminal=False)
    gains = []
    for policy in deterministic_policies(mdp):
        lazy = (np.eye(num_states) + np.einsum("sa,san->sn", policy, mdp.transitions)) / 2
        gains.append(np.linalg.matrix_power(lazy, 2**12) @ (policy * mdp.expected_rewards).sum(1))
        close(solve.gains(mdp, policy), gains[-1], 1e-9)
    close(solve.gains(mdp), np.max(gains, axis=0), 1e-9)
    try:
        best = solve.evaluate(mdp, None, "average")
    except ValueError:  # then no policy of this gain has one class: the best of those that have are worse
        best = None
    reached = [solve.gains(mdp, policy)[0] for policy in deterministic_policies(mdp) if single(mdp, policy)]
    if best is None:
        assert max(reached, default=-np.inf) < np.max(gains, axis=0)[0] - 1e-9
    else:
        close(best.gain, np.max(gains, axis=0)[0], 1e-9)
        defined = ~np.isnan(best.state_values)
        close(np.nanmax(best.action_values[defined], axis=1), best.state_values[defined], 1e-9)


def single(mdp, policy):
    try:
        solve.occupancy(mdp, policy, "average")
    except ValueError:
        return False
    return True


@settings(SETTINGS, max_examples=150)
@sparse_cases
def test_optimal_totals_are_the_best_of_those_that_end(seed, num_states):
    """Rewards are −1 and 0, so that there are free loops and no totals without bound."""
    mdp = sparse_process(seed, num_states, terminal=True)
    totals = np.full((2**num_states, num_states), -np.inf)
    for index, policy in enumerate(deterministic_policies(mdp)):
        for start in range(num_states - 1):
            from_here = TabularMDP(mdp.transitions, mdp.rewards, np.eye(num_states)[start], 1.0, mdp.terminal)
            try:
                totals[index, start] = solve.evaluate(from_here, policy, "total").objective
            except ValueError:
                continue
    best = totals.max(0)
    if best[0] == -np.inf:
        with pytest.raises(ValueError, match="no policy ends the episode with probability 1 from state 0"):
            solve.evaluate(mdp, None, "total")
        return
    values = solve.evaluate(mdp, None, "total").state_values
    best[-1] = 0
    close(values, np.where(best == -np.inf, np.nan, best), 1e-9)


@settings(SETTINGS, max_examples=150)
@sparse_cases
def test_totals_without_bound_are_refused(seed, num_states):
    mdp = sparse_process(seed, num_states, terminal=True)
    paying = TabularMDP(mdp.transitions, mdp.rewards + 1, mdp.initial, 1.0, mdp.terminal)
    gains = [solve.gains(paying, policy)[0] for policy in deterministic_policies(mdp)]
    assume(max(gains) > 1e-9)
    with pytest.raises(ValueError, match="mdp has no largest total reward: from state"):
        solve.evaluate(paying, None, "total")
