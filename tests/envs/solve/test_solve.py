"""Exact solutions against hand computations, brute force and figures from the literature."""

from itertools import product

import gymnasium as gym
import numpy as np
import pytest
from pg_envs import TabularMDP, solve
from pg_envs.mdps.problems import chain, garnet, river_swim, two_state

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
    with pytest.raises(ValueError, match="may never end the episode: it leads to state 2"):
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


def test_discounted_values_by_hand():
    optimal = solve.evaluate(SAVE, discount=0.5)
    np.testing.assert_allclose(optimal.policy, [[0, 1], [1, 0]])
    np.testing.assert_allclose(optimal.state_values, [3, 6])
    np.testing.assert_allclose(optimal.action_values, [[2.5, 3], [6, 6]])
    np.testing.assert_allclose(optimal.advantages, [[-0.5, 0], [0, 0]])
    assert (optimal.objective, optimal.gain, optimal.discount) == (pytest.approx(3), 0, 0.5)
    np.testing.assert_allclose(solve.occupancy(SAVE, discount=0.5), [1, 1])  # 1 and 1/2 + 1/4 + …
    stay = solve.evaluate(SAVE, [[1, 0], [1, 0]], discount=0.5)
    np.testing.assert_allclose(stay.state_values, [2, 6])
    np.testing.assert_allclose(stay.advantages, [[0, 1], [0, 0]])


def test_the_discount_of_the_process_counts_unless_another_is_given():
    mdp = two_state()  # discount 0.9
    assert solve.evaluate(mdp).objective == pytest.approx(solve.evaluate(mdp, discount=0.9).objective)
    assert solve.evaluate(mdp).objective > solve.evaluate(mdp, discount=0.8).objective + 1


def test_discounted_values_of_episodes_end_with_them():
    values = solve.evaluate(COIN, [[1, 0], [1, 0]], discount=0.8)
    np.testing.assert_allclose(values.state_values, [-1 / (1 - 0.8 * 0.75), 0])
    np.testing.assert_allclose(solve.occupancy(COIN, [[1, 0], [1, 0]], discount=0.8), [2.5, 0])


def test_relative_values_by_hand():
    # Leaving state 0 with probability 0.9 and state 1 with 0.1: μ = (0.1, 0.9), h(1) − h(0) = 1/(0.9 + 0.1).
    optimal = solve.evaluate(two_state(0.1), None, "average")
    np.testing.assert_allclose(optimal.policy, [[0, 1], [1, 0]])
    assert optimal.objective == optimal.gain == pytest.approx(0.9)
    np.testing.assert_allclose(optimal.state_values, [-0.9, 0.1])
    np.testing.assert_allclose(optimal.action_values, [[-1.7, -0.9], [0.1, -0.7]])
    np.testing.assert_allclose(solve.stationary_distribution(two_state(0.1)), [0.1, 0.9])
    np.testing.assert_allclose(solve.evaluate(TURNS, [[1], [1]], "average").state_values, [-0.5, 0.5])


def test_expected_visits_by_hand():
    np.testing.assert_allclose(solve.occupancy(COIN, [[1, 0], [1, 0]], "total"), [4, 0])
    np.testing.assert_allclose(solve.occupancy(COIN, [[0, 1], [1, 0]], "total"), [2, 0])
    np.testing.assert_allclose(solve.occupancy(COIN, None, "total"), [4, 0])


@pytest.mark.parametrize("seed", range(4))
def test_the_optimum_is_the_best_over_deterministic_policies_in_every_state(seed):
    mdp = garnet(4, 3, 2, seed=seed)
    for criterion, discount in (("discounted", 0.0), ("discounted", 0.9), ("discounted", 0.999)):
        each = [solve.evaluate(mdp, p, criterion, discount=discount).state_values for p in deterministic_policies(mdp)]
        optimal = solve.evaluate(mdp, criterion=criterion, discount=discount)
        np.testing.assert_allclose(optimal.state_values, np.max(each, axis=0), rtol=1e-10, atol=1e-10)
    each = [solve.gains(mdp, p) for p in deterministic_policies(mdp)]
    np.testing.assert_allclose(solve.gains(mdp), np.max(each, axis=0), atol=1e-10)


def test_rewards_that_can_be_had_for_ever_or_by_ending():
    # State 0: wait for c or end with 10. Waiting costs: end at once. It is free: still end. It pays: no optimum.
    def waiting(c):
        return TabularMDP([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], [[c, 10], [0, 0]], [1, 0], terminal=[1])

    for c in (-1, 0):
        optimal = solve.evaluate(waiting(c), None, "total")
        np.testing.assert_array_equal(optimal.policy[0], [0, 1])
        assert optimal.objective == 10
    with pytest.raises(ValueError, match=r"from state 0 a policy collects 0\.5 a step for ever"):
        solve.evaluate(waiting(0.5), None, "total")


def test_of_two_places_of_one_gain_the_optimum_settles_in_one():
    # Staying pays 1 in both states, moving nothing: both places are as good, and staying in each is multichain.
    mdp = TabularMDP([[[1, 0], [0, 1]], [[0, 1], [1, 0]]], [[1, 0], [1, 0]], [0.5, 0.5])
    with pytest.raises(ValueError, match=r"\{0\}, \{1\}"):
        solve.evaluate(mdp, [[1, 0], [1, 0]], "average")
    optimal = solve.evaluate(mdp, None, "average")
    assert optimal.gain == 1
    np.testing.assert_array_equal(optimal.policy, [[1, 0], [0, 1]])
    np.testing.assert_array_equal(optimal.state_values, [0, -1])  # one step's reward is lost on the way


def test_the_better_of_two_places_that_cannot_be_left():
    # State 0 leads to 1, which pays 1, or to 2, which pays 3.
    mdp = TabularMDP([np.eye(3)[[1, 2]], np.eye(3)[[1, 1]], np.eye(3)[[2, 2]]], [[5, 0], [1, 1], [3, 3]], [1, 0, 0])
    np.testing.assert_array_equal(solve.gains(mdp), [3, 1, 3])
    optimal = solve.evaluate(mdp, None, "average")
    assert optimal.gain == 3
    np.testing.assert_array_equal(optimal.state_values, [-3, np.nan, 0])
    np.testing.assert_array_equal(optimal.action_values[0], [np.nan, -3])
