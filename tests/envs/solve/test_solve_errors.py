"""What has no exact solution is refused by name, with a way out."""

import numpy as np
import pg_envs
import pytest
from pg_envs import TabularMDP, solve
from pg_envs.mdps.problems import garnet, two_state
from pg_envs.solve import policies

TWO = two_state()
GOOD = np.full((2, 2), 0.5)
# State 0 leads to 1 or to 2, which keep what they have; 3 comes from nowhere.
FORK = TabularMDP(
    [[[0, 1, 0, 0], [0, 0, 1, 0]], *np.eye(4)[[1, 1, 2, 2, 3, 3]].reshape(3, 2, 4)], [[0, 0]] * 4, [1, 0, 0, 0]
)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (np.ones((2, 3)) / 3, r"policy must have shape \[S, A\] = \(2, 2\), got \(2, 3\)"),
        (np.ones(2), r"policy must have shape \[S, A\] = \(2, 2\), got \(2,\)"),
        (np.full((5, 2, 2), 0.5), r"got \(5, 2, 2\): a policy that changes with time has values under a horizon only"),
        ([[0.5, 0.5], [0.5, 0.4]], r"got \[0.5, 0.4\] with sum 0.9 in state 1"),
        ([[1.5, -0.5], [1, 0]], r"got \[1.5, -0.5\] with sum 1 in state 0"),
        ([[np.nan, 1], [1, 0]], "sum nan in state 0"),
    ],
)
@pytest.mark.parametrize("function", [solve.evaluate, solve.occupancy, solve.gains, solve.gain, solve.total_values])
def test_what_is_no_policy_is_refused(function, policy, message):
    with pytest.raises(ValueError, match=message):
        function(TWO, policy)


def test_a_policy_of_another_length_than_the_horizon_is_refused():
    with pytest.raises(ValueError, match=r"shape \[T, S, A\] = \(3, 2, 2\) or \[S, A\], got \(5, 2, 2\)"):
        solve.finite_horizon_values(TWO, 3, np.full((5, 2, 2), 0.5))


def test_a_policy_in_single_precision_is_made_exact():
    single = np.random.default_rng(0).dirichlet(np.ones(7), 3).astype(np.float32)
    values = solve.evaluate(garnet(3, 7, 2), single)
    assert values.policy.dtype == np.float64
    np.testing.assert_allclose(values.policy.sum(1), 1, rtol=0, atol=3e-16)
    assert np.abs((values.policy * values.advantages).sum(1)).max() < 1e-12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"discount": 1}, r"discount must lie in \[0, 1\) for criterion='discounted', got 1.0: .* criterion='total'"),
        ({"discount": -0.1}, "got -0.1"),
        ({"discount": float("nan")}, "got nan"),
        ({"criterion": "total", "discount": 0.9}, "discount is only for criterion='discounted', got 0.9"),
        ({"criterion": "mean"}, "criterion must be one of discounted, total, average, got 'mean'"),
    ],
)
def test_a_criterion_has_its_discount(arguments, message):
    for function in (solve.evaluate, solve.occupancy):
        with pytest.raises(ValueError, match=message):
            function(TWO, GOOD, **arguments)


def test_a_process_without_discount_needs_one():
    with pytest.raises(ValueError, match=r"the process's own 1\.0: give one below 1, or use criterion='total'"):
        solve.evaluate(FORK)


def test_totals_need_an_end():
    for policy in (GOOD, None):
        for function in (solve.evaluate, solve.occupancy):
            with pytest.raises(ValueError, match="no terminal state, .* use criterion='average'"):
                function(TWO, policy, "total")


def test_totals_need_a_policy_that_ends():
    mdp = TabularMDP(FORK.transitions, -np.ones((4, 2)), FORK.initial, terminal=[1])
    for function in (solve.evaluate, solve.occupancy):
        with pytest.raises(ValueError, match="leads to state 2, from where it reaches no terminal state"):
            function(mdp, np.full((4, 2), 0.5), "total")
    assert solve.evaluate(mdp, None, "total").objective == -1
    from_two = TabularMDP(FORK.transitions, -np.ones((4, 2)), [0, 0, 1, 0], terminal=[1])
    with pytest.raises(ValueError, match="no policy ends the episode with probability 1 from state 2"):
        solve.evaluate(from_two, None, "total")


def test_averages_need_one_recurrent_class():
    for function in (solve.evaluate, solve.occupancy):
        with pytest.raises(ValueError, match=r"separate recurrent classes \{1\}, \{2\}, all reached .* solve.gains"):
            function(FORK, np.full((4, 2), 0.5), "average")
    np.testing.assert_array_equal(solve.occupancy(FORK, [[0, 1], *[[1, 0]] * 3], "average"), [0, 0, 1, 0])
    apart = TabularMDP(np.eye(12)[:, None], np.arange(12.0)[:, None], np.full(12, 1 / 12))
    with pytest.raises(ValueError, match=r"\{0\}, \{1\}, \{2\}, \{3\}, … 12 classes, all reached"):
        solve.gain(apart)
    np.testing.assert_array_equal(solve.gains(apart), np.arange(12))
    assert pg_envs.MDPVectorEnv(apart).known_returns() == pg_envs.KnownReturns(5.5, 5.5, "step")


def test_equal_gains_do_not_join_what_is_apart():
    with pytest.raises(ValueError, match=r"\{0\}, \{1\}"):
        solve.gain(TabularMDP(np.eye(2)[:, None], [[1], [1]], [0.5, 0.5]))


def test_the_ends_of_episodes_are_no_long_run():
    mdp = TabularMDP(FORK.transitions, np.ones((4, 2)), FORK.initial, terminal=[1, 2])
    with pytest.raises(ValueError, match="these are the ends of episodes, use criterion='total'"):
        solve.gain(mdp, np.full((4, 2), 0.5))


def test_long_classes_are_cut_short():
    ring = np.roll(np.eye(10), 1, axis=1)
    chain = np.block([[ring, np.zeros((10, 1))], [np.zeros((1, 10)), np.ones((1, 1))]])
    with pytest.raises(ValueError, match=r"\{0, 1, 2, 3, 4, 5, 6, 7, … 10 states\}, \{10\}"):
        solve.gain(TabularMDP(chain[:, None], np.zeros((11, 1)), np.full(11, 1 / 11)), np.ones((11, 1)))


def test_a_process_too_large_is_refused(monkeypatch):
    assert solve.MAX_STATES == 5000
    monkeypatch.setattr(policies, "MAX_STATES", 20)
    mdp = garnet(21, 2, 2)
    for function in (solve.evaluate, solve.occupancy, solve.gains, solve.gain, solve.total_values):
        with pytest.raises(ValueError, match="mdp has 21 states, .* of at most 20: .* finite_horizon_values"):
            function(mdp)
    assert pg_envs.MDPVectorEnv(mdp).known_returns() == pg_envs.KnownReturns(None, None, "step")
    assert solve.finite_horizon_values(mdp, 3).shape == (4, 21)
    assert solve.evaluate(garnet(20, 2, 2)).state_values.shape == (20,)


def test_policy_iteration_that_does_not_settle_is_stopped(monkeypatch):
    monkeypatch.setattr("pg_envs.solve.optimal.MAX_ITERATIONS", 1)
    stay_or_go = TabularMDP([np.eye(2), np.eye(2)[[1, 1]]], [[1, 0], [3, 3]], [1, 0], 0.9)  # going pays only later
    for criterion in ("discounted", "average"):
        with pytest.raises(ValueError, match="did not converge in 1 iterations: tolerance 1e-10"):
            solve.evaluate(stay_or_go, None, criterion)
    with pytest.raises(ValueError, match="tolerance must be at least 0, got -1"):
        solve.evaluate(TWO, tolerance=-1)
