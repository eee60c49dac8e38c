"""TabularMDP: what it accepts and reads, and that its environments do what the tables say."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from pg_envs import MDPEnv, MDPVectorEnv, TabularMDP
from pg_envs.mdps.problems import garnet
from scipy import stats

P = [[[0.5, 0.5], [0, 1]], [[1, 0], [0.25, 0.75]]]  # two states, two actions
R = [[[1, 2], [3, 4]], [[5, 6], [7, 8]]]
TAXI = "Taxi-v4" if "Taxi-v4" in gym.registry else "Taxi-v3"


def walk(env, mdp, steps, seed):
    """Play random actions and return the counts [S, A, S], having checked rewards and terminations on the way."""
    counts = np.zeros(mdp.transitions.shape)
    actions = np.random.default_rng(seed).integers(mdp.num_actions, size=(steps, env.num_envs))
    state, _ = env.reset(seed=seed)
    for action in actions:
        next_state, reward, terminated, _, infos = env.step(action)
        reached = np.where(terminated, infos["final_obs"], next_state) if terminated.any() else next_state
        np.testing.assert_array_equal(reward, mdp.rewards[state, action, reached])
        np.testing.assert_array_equal(terminated, mdp.terminal[reached])
        np.add.at(counts, (state, action, reached), 1)
        state = next_state
    return counts


def test_expected_rewards_by_hand_and_broadcasting():
    np.testing.assert_allclose(TabularMDP(P, R, [1, 0]).expected_rewards, [[1.5, 4], [5, 7.75]])
    np.testing.assert_allclose(TabularMDP(P, [[1, 2], [3, 4]], [1, 0]).expected_rewards, [[1, 2], [3, 4]])


def test_terminal_states_stay_and_pay_nothing():
    for terminal in ([1], [False, True]):
        mdp = TabularMDP([P[0], np.zeros((2, 2))], R, [1, 0], terminal=terminal)
        assert mdp.terminal.tolist() == [False, True]
        np.testing.assert_array_equal(mdp.transitions[1], [[0, 1], [0, 1]])
        np.testing.assert_array_equal(mdp.rewards[1], 0)
        np.testing.assert_array_equal(mdp.rewards[0], R[0])


def test_arrays_are_read_only_also_in_copies_and_never_those_of_the_caller():
    given = np.array(P, np.float64)
    mdp = TabularMDP(given, R, [1, 0], 0.9)
    given[:] = 0
    for each in (mdp, copy.deepcopy(mdp), pickle.loads(pickle.dumps(mdp))):
        np.testing.assert_array_equal(each.transitions, P)
        assert each.discount == 0.9
        for array in (each.transitions, each.rewards, each.initial, each.terminal):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"transitions": [[[1, 0], [0.5, 0.4]], P[1]]},
            "transitions must sum to 1, got 0.9 in state 0, action 1: give",
        ),
        ({"transitions": [P[0], [[1.5, -0.5], [0, 1]]]}, "probabilities, got -0.5 in state 1, action 0, next state 1"),
        ({"transitions": [P[0], [[np.nan, 1], [0, 1]]]}, "probabilities, got nan in state 1, action 0, next state 0"),
        ({"transitions": np.ones((2, 2, 3)) / 3}, r"transitions must have shape \[S, A, S\].*got \(2, 2, 3\)"),
        ({"transitions": [[1, 0], [0, 1]]}, r"got \(2, 2\)"),
        ({"rewards": [1, 2]}, r"rewards must have shape \(2, 2, 2\).*or \(2, 2\).*got \(2,\)"),
        ({"rewards": [[1, np.inf], [0, 0]]}, "rewards must be finite, got inf in state 0, action 1$"),
        ({"initial": [0.5, 0.4]}, "initial must sum to 1, got 0.9: give"),
        ({"initial": [1.0]}, r"initial must have shape \[S\] = \(2,\), got \(1,\)"),
        ({"initial": [2, -1]}, "initial must hold probabilities, got -1.0 in state 1"),
        ({"terminal": [0]}, r"initial must not begin in a terminal state, got mass on \[0\]"),
        ({"terminal": [2]}, r"terminal must hold states, 0 … 1, got \[2\]"),
        ({"terminal": [-1]}, "terminal must hold states"),
        ({"terminal": [True]}, r"booleans must have shape \[S\] = \(2,\), got \(1,\)"),
        ({"discount": 1.1}, r"discount must lie in \[0, 1\], got 1.1"),
        ({"discount": float("nan")}, "discount must lie in"),
    ],
)
def test_bad_tables_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        TabularMDP(**{"transitions": P, "rewards": R, "initial": [1, 0], **change})


def test_transition_frequencies():
    mdp = garnet(6, 2, 4, seed=3)
    counts = walk(MDPVectorEnv(mdp, 100), mdp, 1000, seed=0)  # n = 100,000 transitions, some 8,000 a pair
    assert not counts[mdp.transitions == 0].any()
    expected = counts.sum(2, keepdims=True) * mdp.transitions
    possible = mdp.transitions > 0
    chi_square = ((counts - expected)[possible] ** 2 / expected[possible]).sum()
    assert stats.chi2.sf(chi_square, df=6 * 2 * 3) > 1e-5
    z = (counts - expected)[possible] / np.sqrt(expected * (1 - mdp.transitions))[possible]
    assert np.abs(z).max() < 5


def test_starting_frequencies():
    mdp = TabularMDP(np.eye(4)[:, None], np.zeros((4, 1)), [0.1, 0, 0.6, 0.3])
    states, _ = MDPVectorEnv(mdp, 10_000).reset(seed=0)
    frequencies = np.bincount(states, minlength=4) / 10_000
    assert frequencies[1] == 0
    assert (np.abs(frequencies - mdp.initial) < 5 * np.sqrt(0.25 / 10_000)).all()


def test_probability_zero_never_happens_even_where_sums_are_rounded():
    p = np.full((12, 1, 12), 1 / 12)
    p[0, 0] = [0] + [0.1] * 10 + [0]  # the floating-point sum stays below 1
    env = MDPVectorEnv(TabularMDP(p, np.zeros((12, 1)), np.eye(12)[0]), 3)
    env.reset(seed=0)
    env.uniforms.values[:] = [0.0, 0.35, np.nextafter(1, 0)] * 512
    assert env.step(np.zeros(3, int))[0].tolist() == [1, 4, 10]


@pytest.mark.parametrize("limit", [None, 7])
def test_single_and_vector_are_the_same(limit):
    mdp = TabularMDP.from_gymnasium(gym.make("FrozenLake-v1"))
    vector = MDPVectorEnv(mdp, 3, max_episode_steps=limit)
    singles = [MDPEnv(mdp) for _ in range(3)]
    if limit:
        singles = [gym.wrappers.TimeLimit(env, limit) for env in singles]
    states, _ = vector.reset(seed=5)
    assert states.tolist() == [env.reset(seed=5 + i)[0] for i, env in enumerate(singles)]
    for actions in np.random.default_rng(0).integers(4, size=(300, 3)):
        states, rewards, terminated, truncated, _ = vector.step(actions)
        for i, env in enumerate(singles):
            state, *rest, _ = env.step(actions[i])
            if rest[1] or rest[2]:
                state, _ = env.reset()
            assert [state, *rest] == [states[i], rewards[i], terminated[i], truncated[i]]


def test_impossible_actions_are_refused():
    env = MDPVectorEnv(garnet(3, 2, 2), 2)
    env.reset(seed=0)
    for actions in ([0, 2], [-1, 0]):
        with pytest.raises(ValueError, match="invalid entry"):
            env.step(np.array(actions))


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CliffWalking-v1", TAXI])
def test_gymnasium_tables_agree_with_the_environment(name):
    env = gym.make(name).unwrapped
    mdp = TabularMDP.from_gymnasium(env)
    n = env.observation_space.n
    assert mdp.num_states == n + (name == TAXI)
    rng = np.random.default_rng(0)
    seen = set()
    state, _ = env.reset(seed=0)
    np.testing.assert_array_equal(mdp.initial[:n], env.initial_state_distrib)
    for _ in range(4000):
        action = int(rng.integers(mdp.num_actions))
        reached, reward, terminated, _, _ = env.step(action)
        entered = n if name == TAXI and terminated else reached
        assert mdp.transitions[state, action, entered] > 0
        assert mdp.rewards[state, action, entered] == reward
        assert mdp.terminal[entered] == terminated
        seen.add((state, action, entered))
        state = env.reset()[0] if terminated else reached
    if name == "FrozenLake-v1":  # small enough to see all that can be seen: the support is the same
        live = ~mdp.terminal
        visited = {s for s, _, _ in seen}
        assert visited == set(np.flatnonzero(live))
        assert seen == {tuple(x) for x in np.argwhere(mdp.transitions > 0) if live[x[0]]}


def test_a_taxi_ride_by_the_table():
    """A delivery ends the episode; the same place passed through otherwise does not."""
    env = gym.make(TAXI).unwrapped
    mdp = TabularMDP.from_gymnasium(env)
    deliver = env.encode(0, 0, 4, 0)  # in the taxi, at the destination
    assert mdp.transitions[deliver, 5, 500] == 1
    assert mdp.rewards[deliver, 5, 500] == 20
    assert mdp.terminal.nonzero()[0].tolist() == [500]
    np.testing.assert_allclose(mdp.transitions.sum(2), 1)


def test_outcomes_that_share_a_next_state():
    table = {
        0: {0: [(0.25, 1, 4.0, False), (0.25, 1, 0.0, False), (0.5, 1, 8.0, True)]},
        1: {0: [(1.0, 0, 1.0, False)]},
    }
    mdp = TabularMDP.from_table(table, [1, 0])
    np.testing.assert_allclose(mdp.transitions[:, 0], [[0, 0.5, 0.5], [1, 0, 0], [0, 0, 1]])
    np.testing.assert_allclose(mdp.rewards[0, 0], [0, 2, 8])
    assert mdp.terminal.tolist() == [False, False, True]


def test_an_environment_without_tables_is_refused():
    with pytest.raises(ValueError, match="CartPoleEnv has no tables P"):
        TabularMDP.from_gymnasium(gym.make("CartPole-v1"))


def test_a_process_of_ones_own_gets_an_id_in_a_line():
    mdp = TabularMDP(P, R, [0, 1])
    pg_envs.register("Own-v0", MDPEnv, mdp=mdp, max_episode_steps=3)
    try:
        env = gym.make("pg/Own-v0")
        check_env(env.unwrapped)
        np.testing.assert_array_equal(env.unwrapped.mdp.transitions, P)
        vector = gym.make_vec("pg/Own-v0", 4, autoreset_mode=AutoresetMode.NEXT_STEP)
        assert vector.reset(seed=0)[0].tolist() == [1] * 4
        truncations = [vector.step(np.zeros(4, int))[3].all() for _ in range(8)]
        assert truncations == [False, False, True, False] * 2
        assert pg_envs.known_returns(env) == pg_envs.known_returns(vector)
        assert pg_envs.known_returns(env).per == "episode"
    finally:
        del gym.registry["pg/Own-v0"]


def test_known_returns_by_hand():
    # Leave for 1, with 1/2 a step, or stay for 0; ending pays. Random, 2 steps: 1/4 + (3/4)(1/4) of a reward of 8.
    p = [[[1, 0], [0.5, 0.5]], [[0, 1], [0, 1]]]
    mdp = TabularMDP(p, [[[0, 8]] * 2] * 2, [1, 0], terminal=[1])
    env = MDPVectorEnv(mdp)
    assert env.known_returns(2) == pg_envs.KnownReturns(8 * 7 / 16, 6, "episode")
    total = env.known_returns()
    assert total.per == "episode"
    assert (total.random, total.optimal) == (pytest.approx(8), pytest.approx(8))
    assert env.known_returns(2) is env.known_returns(2)  # worked out once
    never = TabularMDP(p, [[0, 1], [0, 0]], [1, 0])
    assert MDPVectorEnv(never).known_returns().per == "step"


def test_a_total_that_does_not_exist_is_not_known():
    p = np.zeros((3, 1, 3))
    p[0, 0, 1:] = 0.5
    p[1, 0, 1] = 1
    known = MDPVectorEnv(TabularMDP(p, np.ones((3, 1)), [1, 0, 0], terminal=[2])).known_returns()
    assert (known.random, known.optimal) == (None, None)


def test_rewards_and_terminations_are_those_of_the_table():
    mdp = TabularMDP.from_gymnasium(gym.make(TAXI))
    counts = walk(MDPVectorEnv(mdp, 500), mdp, 400, seed=1)
    assert counts[:, 5, 500].sum() > 0  # deliveries were among them
    assert not counts[mdp.transitions == 0].any()
