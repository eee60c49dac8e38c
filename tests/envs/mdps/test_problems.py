"""The registered decision processes against their descriptions and the literature."""

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
from gymnasium.utils.env_checker import check_env
from pg_envs import solve
from pg_envs.mdps.grids import CliffEnv, GridWorldEnv, cliff, grid_world
from pg_envs.mdps.problems import chain, garnet, river_swim, two_state

NAMES = ["Chain", "GridWorld", "Cliff", "RiverSwim", "Garnet", "TwoStateMDP"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("error")
def test_the_checker_has_no_complaint(name):
    check_env(gym.make(f"pg/{name}-v0").unwrapped)


@pytest.mark.parametrize("name", NAMES)
def test_random_play_collects_what_is_known(name):
    """B rows of random play: the mean return within five standard errors of the exact one, B = 2,000."""
    env = gym.make_vec(f"pg/{name}-v0", 2000)
    known = pg_envs.known_returns(env)
    assert known == pg_envs.known_returns(gym.make(f"pg/{name}-v0"))
    steps = env.unwrapped.max_episode_steps or 400
    env.reset(seed=0)
    actions = np.random.default_rng(0).integers(env.single_action_space.n, size=(steps, 2000))
    returns, alive = np.zeros(2000), np.ones(2000, bool)
    for action in actions:
        _, rewards, terminated, truncated, _ = env.step(action)
        returns += rewards * alive
        alive &= ~(terminated | truncated)
    expected = known.random
    if known.per == "step":  # the gain, but for what the start is worth: exact in 400 steps from the start
        mdp = env.unwrapped.mdp
        expected = solve.expected_return(mdp, steps, solve.uniform_policy(mdp))
        assert expected / steps == pytest.approx(known.random, abs=0.005)
    assert abs(returns.mean() - expected) < 5 * returns.std() / np.sqrt(2000)
    assert known.optimal > known.random


def test_chain_tables_and_figures():
    mdp = chain()
    np.testing.assert_allclose(mdp.transitions[2], [[0.8, 0, 0, 0.2, 0], [0.2, 0, 0, 0.8, 0]])
    np.testing.assert_allclose(mdp.transitions[4], [[0.8, 0, 0, 0, 0.2], [0.2, 0, 0, 0, 0.8]])
    np.testing.assert_allclose(mdp.expected_rewards[[0, 4]], [[1.6, 0.4], [3.6, 8.4]])
    assert solve.gain(mdp) == pytest.approx(0.8**5 * 10 + 0.2 * 2)  # Strens: 3677 in 1,000 steps
    assert solve.gain(mdp, solve.uniform_policy(mdp)) == pytest.approx(0.5**5 * 10 + 0.5 * 2)


def test_river_swim_tables_and_figures():
    mdp = river_swim()
    np.testing.assert_array_equal(mdp.transitions[[0, 3, 5], 0].argmax(1), [0, 2, 4])
    np.testing.assert_allclose(mdp.transitions[0, 1], [0.4, 0.6, 0, 0, 0, 0])
    np.testing.assert_allclose(mdp.transitions[3, 1], [0, 0, 0.05, 0.6, 0.35, 0])
    np.testing.assert_allclose(mdp.transitions[5, 1], [0, 0, 0, 0, 0.4, 0.6])
    # Always right is a birth–death chain: μ(s + 1)/μ(s) is the ratio of the rates up and down.
    mu = np.cumprod([1, 0.6 / 0.05, 7, 7, 7, 0.35 / 0.4])
    right = np.tile([0, 1], (6, 1))
    np.testing.assert_allclose(solve.stationary_distribution(mdp, right), mu / mu.sum())
    assert solve.gain(mdp) == pytest.approx(mu[5] / mu.sum())
    assert mu[5] / mu.sum() == pytest.approx(7203 / 16805)
    assert solve.gain(mdp, np.tile([1, 0], (6, 1))) == pytest.approx(0.005)


@pytest.mark.parametrize(("p", "q", "slip"), [(0.5, 0.5, 0.1), (1, 0, 0.1), (0.3, 0.8, 0.2), (0, 1, 0.4)])
def test_two_states_have_their_closed_form(p, q, slip):
    x, y = slip + (1 - 2 * slip) * p, slip + (1 - 2 * slip) * q
    assert solve.gain(two_state(slip), [[1 - p, p], [1 - q, q]]) == pytest.approx(x / (x + y))
    assert solve.gain(two_state(slip)) == pytest.approx(1 - slip)


def test_garnet_is_what_was_asked_for():
    mdp = garnet(10, 3, 4, seed=7)
    np.testing.assert_array_equal((mdp.transitions > 0).sum(2), 4)
    assert not mdp.rewards[mdp.transitions == 0].any()
    np.testing.assert_array_equal(mdp.transitions, garnet(10, 3, 4, seed=7).transitions)
    assert (mdp.transitions != garnet(10, 3, 4, seed=8).transitions).any()
    large = garnet(200, 5, 3)
    rewards = large.rewards[large.transitions > 0]  # n = 3,000: standard error 0.018
    assert abs(rewards.mean()) < 5 * 0.018
    assert abs(rewards.std() - 1) < 5 * 0.013
    # Each of 3 pieces has mean 1/3 and variance 1/18; every state is as likely a successor as any other (15 ± 3.9).
    pieces = large.transitions[large.transitions > 0]
    assert abs(pieces.var() - 1 / 18) < 0.005
    assert np.abs((large.transitions > 0).sum((0, 1)) - 15).max() < 5 * 3.9


def test_russell_and_norvigs_grid():
    mdp = grid_world()
    # Utilities of the textbook's figure, up to its three decimals.
    values = np.round(solve.total_values(mdp), 3).reshape(3, 4)
    assert values[0, :3].tolist() == [0.812, 0.868, 0.918]
    assert values[1, [0, 2]].tolist() == [0.762, 0.660]
    assert values[2].tolist() == [0.705, 0.655, 0.611, 0.388]
    np.testing.assert_allclose(mdp.transitions[8, 0], np.eye(12)[[4, 8, 9]].T @ [0.8, 0.1, 0.1])  # up from the start
    assert mdp.terminal.nonzero()[0].tolist() == [3, 7]
    assert mdp.rewards[2, 1, 3] == pytest.approx(0.96)
    assert mdp.rewards[6, 1, 7] == pytest.approx(-1.04)


def test_the_cliff():
    mdp = cliff()
    assert mdp.initial.argmax() == 36
    assert mdp.terminal.nonzero()[0].tolist() == [47]
    steps = {(36, 1): (36, -100), (36, 3): (36, -1), (25, 2): (36, -100), (24, 2): (36, -1), (35, 2): (47, -1)}
    for (state, action), (reached, reward) in steps.items():
        assert mdp.transitions[state, action, reached] == 1
        assert mdp.rewards[state, action, reached] == reward
    assert mdp.initial @ solve.total_values(mdp) == -13
    gymnasium_cliff = pg_envs.TabularMDP.from_gymnasium(gym.make("CliffWalking-v1"))
    outside = np.r_[:37, 47]
    np.testing.assert_array_equal(mdp.transitions[outside], gymnasium_cliff.transitions[outside])
    np.testing.assert_array_equal(mdp.rewards[outside], gymnasium_cliff.rewards[outside])


def test_a_map_of_ones_own():
    mdp = grid_world(["S#", "SC", ".G"], slip=0.0, step_reward=0.0, cliff_reward=-5.0)
    assert mdp.initial.tolist() == [0.5, 0, 0.5, 0, 0, 0]
    np.testing.assert_array_equal(mdp.transitions[0].argmax(1), [0, 0, 2, 0])  # edge, wall, free, edge
    np.testing.assert_array_equal(mdp.transitions[2, 1], [0.5, 0, 0.5, 0, 0, 0])  # thrown back to any start
    assert mdp.expected_rewards[2, 1] == -5
    assert mdp.expected_rewards[4, 1] == 1


def test_pictures():
    env = gym.make("pg/GridWorld-v0", render_mode="ansi", layout=["..", "SG"])
    env.reset(seed=0)
    assert env.render() == "..\n@G\n"
    env = CliffEnv("ansi", height=2, width=4)
    env.reset(seed=0)
    env.step(0)
    assert env.render() == "@...\nSCCG\n"
    assert GridWorldEnv().render() is None


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: chain(1), r"num_states must lie in \[2, inf\], got 1"),
        (lambda: chain(slip=1.5), r"slip must lie in \[0, 1\], got 1.5"),
        (lambda: river_swim(1), "num_states must lie in"),
        (lambda: garnet(3, 2, 4), r"branching must lie in \[1, 3\], got 4"),
        (lambda: two_state(-0.1), "slip must lie in"),
        (lambda: grid_world(["S.", "G"]), r"rows of one length, got lengths \[2, 1\]"),
        (lambda: grid_world([]), "rows of one length"),
        (lambda: grid_world(["SX"]), r"got \['X'\]"),
        (lambda: grid_world([".G"]), "layout has no start: mark at least one cell S"),
        (lambda: grid_world(slip=2.0), "slip must lie in"),
        (lambda: cliff(1, 2), "height must be at least 2 and width at least 3, got 1 and 2"),
    ],
)
def test_bad_arguments_are_named(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_states_and_actions_have_names_in_the_metadata_of_both_forms():
    for env in (gym.make("pg/Cliff-v0", height=2, width=3), gym.make_vec("pg/Cliff-v0", 2, height=2, width=3)):
        assert env.metadata["state_names"] == ["0, 0", "0, 1", "0, 2", "1, 0", "1, 1", "1, 2"]
        assert env.metadata["action_names"] == ("up", "right", "down", "left")
    assert gym.make("pg/Chain-v0").metadata["action_names"] == ("back", "forward")
    assert "state_names" not in gym.make("pg/Chain-v0").metadata
