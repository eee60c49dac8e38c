"""Exact solutions against quantecon, and against the known optima of Gymnasium's tables."""

import gymnasium as gym
import numpy as np
import pytest
from pg_envs import TabularMDP, solve
from pg_envs.mdps.grids import grid_world
from pg_envs.mdps.problems import chain, garnet, river_swim
from pg_envs.solve.chains import recurrent_classes, stationary
from quantecon.markov import DiscreteDP, MarkovChain

# name, arguments, optimal return of an episode without limit, mean length of the best episodes (None: not known)
KNOWN = [
    ("FrozenLake-v1", {}, 14 / 17, None),  # the lake can be crossed with that probability
    ("FrozenLake-v1", {"map_name": "8x8"}, 1.0, None),  # along the edges no hole is ever entered
    ("FrozenLake-v1", {"is_slippery": False}, 1.0, None),
    ("CliffWalking-v1", {}, -13.0, 13),  # eleven to the right, one up, one down
    ("Taxi-v3", {}, 7.93, 13.07),  # −1 a step, 20 at the last
]


def table(name, **arguments):
    if name == "Taxi-v3" and name not in gym.registry:
        name = "Taxi-v4"
    return TabularMDP.from_gymnasium(gym.make(name, **arguments))


def peer_optimum(mdp, discount):
    process = DiscreteDP(np.array(mdp.expected_rewards), np.array(mdp.transitions), discount)
    return process, process.solve(method="policy_iteration")


@pytest.mark.parametrize(("name", "arguments", "optimum", "length"), KNOWN)
def test_known_optima(name, arguments, optimum, length):
    mdp = table(name, **arguments)
    best = solve.evaluate(mdp, None, "total")
    assert best.objective == pytest.approx(optimum, abs=1e-9)
    visits = solve.occupancy(mdp, best.policy, "total")
    assert visits @ (best.policy * mdp.expected_rewards).sum(1) == pytest.approx(optimum, abs=1e-9)
    if length is not None:
        assert visits.sum() == pytest.approx(length, abs=1e-9)


@pytest.mark.parametrize(
    "mdp",
    [
        *(table(name, **arguments) for name, arguments, *_ in KNOWN[:4]),
        grid_world(),
        chain(),
        river_swim(),
        *(garnet(30, 4, 2, seed=seed) for seed in range(5)),
    ],
)
@pytest.mark.parametrize("discount", [0.0, 0.5, 0.99])
def test_discounted_optima_agree_with_quantecon(mdp, discount):
    process, peer = peer_optimum(mdp, discount)
    optimal = solve.evaluate(mdp, discount=discount)
    np.testing.assert_allclose(optimal.state_values, peer.v, rtol=1e-9, atol=1e-9)
    mine = optimal.policy.argmax(1)
    np.testing.assert_allclose(
        process.evaluate_policy(mine), peer.v, rtol=1e-9, atol=1e-9
    )  # actions may differ in ties


@pytest.mark.parametrize("seed", range(5))
def test_policy_evaluation_agrees_with_quantecon(seed):
    mdp = garnet(30, 4, 3, seed=seed)
    actions = np.random.default_rng(seed).integers(4, size=30)
    process = DiscreteDP(np.array(mdp.expected_rewards), np.array(mdp.transitions), 0.97)
    mine = solve.evaluate(mdp, np.eye(4)[actions], discount=0.97)
    np.testing.assert_allclose(mine.state_values, process.evaluate_policy(actions), rtol=1e-10)
    np.testing.assert_allclose(mine.action_values.max(1), process.bellman_operator(mine.state_values), rtol=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_the_optimal_gain_is_the_limit_of_quantecons_discounted_optimum(seed):
    """(1 − γ) V*_γ − λ* is bounded by (1 − γ) (max h − min h)."""
    mdp = garnet(20, 3, 3, seed=seed)
    average = solve.evaluate(mdp, None, "average")
    _, peer = peer_optimum(mdp, 1 - 1e-6)
    assert np.ptp(average.state_values) < 20
    np.testing.assert_allclose(1e-6 * peer.v, average.gain, atol=2e-5)


def sparse_chain(rng, num_states, branching):
    matrix = np.zeros((num_states, num_states))
    for row in matrix:
        row[rng.choice(num_states, branching, replace=False)] = rng.dirichlet(np.ones(branching))
    return matrix


@pytest.mark.parametrize("seed", range(40))
def test_the_structure_of_chains_agrees_with_quantecon(seed):
    rng = np.random.default_rng(seed)
    matrix = sparse_chain(rng, int(rng.integers(2, 25)), int(rng.integers(1, 3)))
    peer = MarkovChain(matrix)
    mine = recurrent_classes(matrix)
    assert [c.tolist() for c in mine] == sorted(sorted(c.tolist()) for c in peer.recurrent_classes_indices)
    theirs = {tuple(np.flatnonzero(mu > 0)): mu for mu in peer.stationary_distributions}
    for members in mine:
        mu = theirs[tuple(members)]
        np.testing.assert_allclose(stationary(matrix[np.ix_(members, members)]), mu[members], rtol=1e-12, atol=1e-14)


def test_many_shapes_of_chains_have_several_classes():
    """The test above is about something: of its forty chains several are multichain."""
    counts = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        matrix = sparse_chain(rng, int(rng.integers(2, 25)), int(rng.integers(1, 3)))
        counts.append(len(recurrent_classes(matrix)))
    assert sum(count > 1 for count in counts) >= 8


@pytest.mark.parametrize("leak", [1e-6, 1e-9, 1e-12])
def test_states_that_are_rarely_left_lose_no_digits(leak):
    # Birth and death: μ(0) leak = 0.3 μ(1), 0.3 μ(1) = 3 leak μ(2).
    matrix = np.array([[1 - leak, leak, 0], [0.3, 0.4, 0.3], [0, 3 * leak, 1 - 3 * leak]])
    exact = np.array([1, leak / 0.3, 1 / 3])
    np.testing.assert_allclose(stationary(matrix), exact / exact.sum(), rtol=1e-13)
    gths = MarkovChain(matrix).stationary_distributions[0]
    np.testing.assert_allclose(stationary(matrix), gths, rtol=1e-13, atol=1e-15)
