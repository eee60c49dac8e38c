"""Exact solutions against hand computations, brute force and figures from the literature."""

from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from pg_envs import TabularMDP, solve
from pg_envs.problems import chain, garnet, river_swim, two_state

# Action 0 pays 1 and stays in state 0, action 1 pays nothing and leads to state 1, where every step pays 3.
SAVE = TabularMDP([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], [[1, 0], [3, 3]], [1, 0])
# A coin ends the episode (state 1) with probability 0.25 under action 0, with 0.5 under action 1; a step costs 1 or 3.
COIN = TabularMDP([[[0.75, 0.25], [0.5, 0.5]], np.zeros((2, 2))], [[-1, -3], [0, 0]], [1, 0], terminal=[1])
# States 0 and 1 take turns; the reward is 2 in state 1.
TURNS = TabularMDP([[[0, 1]], [[1, 0]]], [[0], [2]], [1, 0])


def deterministic_policies(mdp):
    for actions in product(range(mdp.num_actions), repeat=mdp.num_states):
        yield np.eye(mdp.num_actions)[list(actions)]


def test_backward_induction_by_hand():
    # With 1 step left take the 1; with 2 left 1 + 1 < 0 + 3; with 3 left 0 + 6.
    np.testing.assert_array_equal(solve.finite_horizon_values(SAVE, 3), [[6, 9], [3, 6], [1, 3], [0, 0]])
    # Uniform policy: V_1 = (1 + 0)/2, V_2 = ½(1 + ½) + ½·3, with the values of state 1 known.
    np.testing.assert_allclose(
        solve.finite_horizon_values(SAVE, 2, solve.uniform_policy(SAVE)), [[2.25, 6], [0.5, 3], [0, 0]]
    )


def test_the_discount_is_of_the_next_value():
    np.testing.assert_allclose(solve.finite_horizon_values(SAVE, 2, discount=0.1)[0], [1.1, 3.3])


def test_a_policy_may_change_with_time():
    first_move_then_stay = np.array([[[0, 1], [0, 1]], [[1, 0], [1, 0]]])
    assert solve.expected_return(SAVE, 2, first_move_then_stay) == 3
    assert solve.expected_return(SAVE, 2, first_move_then_stay[::-1]) == 1


def test_optimal_values_are_the_best_over_all_policies_that_see_the_clock():
    mdp = garnet(3, 2, 2, seed=4)
    policies = list(deterministic_policies(mdp))
    best = max(solve.expected_return(mdp, 3, np.stack(choice)) for choice in product(policies, repeat=3))
    assert solve.expected_return(mdp, 3) == pytest.approx(best, abs=1e-12)


def test_frozen_lake_in_a_hundred_steps():
    mdp = TabularMDP.from_gymnasium(gym.make("FrozenLake-v1"))
    assert solve.expected_return(mdp, 100) == pytest.approx(0.744190, abs=1e-6)
    # Without a limit the lake is crossed with probability 14/17.
    assert mdp.initial @ solve.total_values(mdp) == pytest.approx(14 / 17, abs=1e-7)


def test_total_values_by_hand():
    assert solve.total_values(COIN, [[1, 0], [1, 0]]).tolist() == pytest.approx([-4, 0])  # 1 / 0.25 steps
    assert solve.total_values(COIN, [[0, 1], [1, 0]]).tolist() == pytest.approx([-6, 0])  # 3 / 0.5
    assert solve.total_values(COIN, solve.uniform_policy(COIN)).tolist() == pytest.approx([-2 / 0.375, 0])
    assert solve.total_values(COIN).tolist() == pytest.approx([-4, 0], abs=1e-8)


def test_totals_are_the_limit_of_long_horizons():
    mdp = TabularMDP.from_gymnasium(gym.make("FrozenLake-v1"))
    policy = solve.uniform_policy(mdp)
    np.testing.assert_allclose(solve.total_values(mdp, policy), solve.finite_horizon_values(mdp, 2000, policy)[0])


def test_totals_that_do_not_exist_are_nan():
    # State 0: on to 1 or into the trap 2. State 1 ends (3). The trap never ends.
    p = np.zeros((4, 2, 4))
    p[0, 0, 1] = p[0, 1, 2] = p[1, :, 3] = p[2, :, 2] = 1
    mdp = TabularMDP(p, np.ones((4, 2)), [1, 0, 0, 0], terminal=[3])
    past_the_trap = TabularMDP(p, np.ones((4, 2)), [0, 1, 0, 0], terminal=[3])
    avoid = [[1, 0]] * 4
    np.testing.assert_array_equal(solve.total_values(mdp, avoid), [2, 1, np.nan, 0])
    with pytest.raises(ValueError, match="may never end the episode: it comes to state 2"):
        solve.total_values(mdp, solve.uniform_policy(mdp))
    uniform = solve.evaluate(past_the_trap, solve.uniform_policy(mdp), "total")
    np.testing.assert_array_equal(uniform.state_values, [np.nan, 1, np.nan, 0])
    np.testing.assert_array_equal(uniform.action_values, [[2, np.nan], [1, 1], [np.nan, np.nan], [0, 0]])
    assert uniform.objective == 1


def test_stationary_distribution_of_a_chain_with_a_period():
    np.testing.assert_allclose(solve.stationary_distribution(TURNS, [[1], [1]]), [0.5, 0.5])
    assert solve.gain(TURNS, [[1], [1]]) == pytest.approx(1)
    assert solve.gain(TURNS) == pytest.approx(1, abs=1e-8)


def test_long_runs_keep_to_where_episodes_begin():
    mdp = TabularMDP(np.eye(3)[:, None], [[1], [2], [3]], [0, 1, 0])
    alone = np.ones((3, 1))
    np.testing.assert_array_equal(solve.stationary_distribution(mdp, alone), [0, 1, 0])
    assert solve.gain(mdp, alone) == solve.gain(mdp) == 2
    np.testing.assert_array_equal(solve.evaluate(mdp, alone, "average").state_values, [np.nan, 0, np.nan])
    np.testing.assert_array_equal(solve.gains(mdp, alone), [1, 2, 3])


def test_stationary_distribution_solves_its_equation():
    mdp = garnet(20, 3, 3, seed=1)
    policy = np.random.default_rng(0).dirichlet(np.ones(3), 20)
    mu = solve.stationary_distribution(mdp, policy)
    np.testing.assert_allclose(mu @ np.einsum("sa,san->sn", policy, mdp.transitions), mu, atol=1e-13)
    assert mu.sum() == pytest.approx(1)


@pytest.mark.parametrize("mdp", [river_swim(), chain(), two_state(0.3), garnet(5, 2, 3, seed=2)])
def test_the_optimal_gain_is_the_best_over_deterministic_policies(mdp):
    gains = []
    for policy in deterministic_policies(mdp):
        chain_of_policy = np.einsum("sa,san->sn", policy, mdp.transitions)
        long_run = np.linalg.matrix_power((np.eye(mdp.num_states) + chain_of_policy) / 2, 2**20)
        gains.append(mdp.initial @ long_run @ (policy * mdp.expected_rewards).sum(1))
        assert solve.gain(mdp, policy) == pytest.approx(gains[-1], abs=1e-8)
    assert solve.gain(mdp) == pytest.approx(max(gains), abs=2e-9)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"policy must have shape \[S, A\] = \(2, 2\), got \(2, 3\)"):
        solve.gain(SAVE, np.ones((2, 3)) / 3)
    with pytest.raises(ValueError, match="policy must hold probabilities"):
        solve.total_values(COIN, [[0.5, 0.4], [1, 0]])
    with pytest.raises(ValueError, match="policy must hold probabilities"):
        solve.finite_horizon_values(SAVE, 1, [[1.5, -0.5], [1, 0]])
    with pytest.raises(ValueError, match="horizon must be at least 0, got -1"):
        solve.finite_horizon_values(SAVE, -1)
