"""The average-reward actor-critic against numbers worked out by hand, a second implementation and exact gradients."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from pg_envs import TabularMDP, solve
from pg_envs.mdps.problems import garnet, river_swim, two_state
from support.bugs import Bug, seeded, with_arguments, with_result
from support.hand_made import prepare, rollout

import pg_agents as pg
from pg_agents.collection.collectors import collect_steps
from pg_agents.distributions import Categorical
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies import MLPPolicy, TabularActionCritic, TabularPolicy

VALUES = [[1.0, 3.0], [2.0, -2.0]]
RATES = {"learning_rate": 0.5, "critic_learning_rate": 0.25, "gain_learning_rate": 0.125, "optimizer": "sgd"}


def agent_with(values, num_learners=1, **arguments):
    """Return an agent with Q = `values` in every learner, a uniform policy and λ = 1."""
    sizes = len(values), len(values[0])
    policy = TabularPolicy(*sizes, num_learners=num_learners).double()
    critic = TabularActionCritic(*sizes, num_learners=num_learners).double()
    critic.values.data[:] = torch.tensor(values)
    return pg.AverageReward(policy=policy, critic=critic, **{"initial_gain": 1.0, **RATES, **arguments})


def numbers(agent):
    """Return θ, ψ and λ as lists."""
    return agent.policy.logits.tolist(), agent.critic.values.tolist(), agent.gain.tolist()


def later(*rows):
    """Return one row of rewards and actions in the middle of its episodes."""
    record = rollout(*([row] for row in rows))
    return replace(record, episode_starts=torch.zeros_like(record.episode_starts))


# -- by hand -----------------------------------------------------------------------------------------------------------
def test_three_steps_of_one_environment_by_hand():
    """θ_0 = 0, Q = ((1, 3), (2, −2)), λ = 1; α = ½, β = ¼, β_λ = ⅛.

    (S, A, R) = (0, 1, 5): nothing can be learned before the next action.
    (1, 0, 100): A_1 = 0, so d = 5 − 1 + Q(1,0) − Q(0,1) = 5 − 1 + 2 − 3 = 3. The advantage is 3 − ½(1 + 3) = 1.
        θ(0,·) = ½ · 1 · (−½, ½) = (−¼, ¼),  ψ(0,1) = 3 + ¼ · 3 = 3.75,  λ = 1 + ⅛ · 3 = 1.375.
    (1, 1, 7): d = 100 − 1.375 + Q(1,1) − Q(1,0) = 100 − 1.375 − 2 − 2 = 94.625, the advantage 2 − ½(2 − 2) = 2.
        θ(1,·) = ½ · 2 · (½, −½) = (½, −½),  ψ(1,0) = 2 + ¼ · 94.625 = 25.65625,  λ = 1.375 + ⅛ · 94.625 = 13.203125.
    """
    agent = agent_with(VALUES)
    assert agent.update(rollout([(0, 1, 5, "")])) == {}
    assert numbers(agent) == ([[[0, 0], [0, 0]]], [VALUES], [1])
    metrics = agent.update(later((1, 0, 100, "")))
    assert numbers(agent) == ([[[-0.25, 0.25], [0, 0]]], [[[1, 3.75], [2, -2]]], [1.375])
    assert float(metrics["temporal_difference"]) == 3 and float(metrics["gain"]) == 1.375
    agent.update(later((1, 1, 7, "")))
    assert numbers(agent) == ([[[-0.25, 0.25], [0.5, -0.5]]], [[[1, 3.75], [25.65625, -2]]], [13.203125])


def test_two_environments_are_averaged_by_hand():
    """Column 0 as above: advantage 1, d = 3. Column 1: (1, 1, 2), then (0, 0): advantage −2, d = 2 − 1 + 1 + 2 = 4.

    Each counts half: θ(0,·) = ¼ (−½, ½), θ(1,·) = ¼ · (−2) · (−½, ½), ψ(0,1) = 3 + ⅛ · 3, ψ(1,1) = −2 + ⅛ · 4,
    λ = 1 + ⅛ · 3.5.
    """
    agent = agent_with(VALUES)
    agent.update(rollout([(0, 1, 5, "")], [(1, 1, 2, "")]))
    agent.update(later((1, 0, 9, ""), (0, 0, 9, "")))
    policy, values, gain = numbers(agent)
    assert policy == [[[-0.125, 0.125], [0.25, -0.25]]]
    assert values == [[[1, 3.375], [2, -1.5]]] and gain == [1.4375]


def test_independent_learners_have_a_gain_each():
    """The same two columns, not averaged: λ = 1 + ⅛ · 3 and 1 + ⅛ · 4."""
    agent = agent_with(VALUES, num_learners=2)
    agent.update(rollout([(0, 1, 5, "")], [(1, 1, 2, "")]))
    agent.update(later((1, 0, 9, ""), (0, 0, 9, "")))
    policy, values, gain = numbers(agent)
    assert policy == [[[-0.25, 0.25], [0, 0]], [[0, 0], [0.5, -0.5]]] and gain == [1.375, 1.5]
    assert values == [[[1, 3.75], [2, -2]], [[1, 3], [2, -1]]]


def test_the_gain_moves_with_the_critics_rate_unless_told_otherwise():
    for arguments, expected in (({"gain_learning_rate": None}, 1.75), ({"optimizer": "adam"}, 1.375)):
        agent = agent_with(VALUES, **arguments)
        agent.update(rollout([(0, 1, 5, "")]))
        agent.update(later((1, 0, 100, "")))
        assert agent.gain.tolist() == [expected]


# -- in an environment -------------------------------------------------------------------------------------------------
class Log(gym.vector.VectorWrapper):
    """Keeps what the environment was given and what it returned."""

    def __init__(self, env):
        super().__init__(env)
        self.lived = []

    def reset(self, **arguments):
        self.seen, info = self.env.reset(**arguments)
        return self.seen, info

    def step(self, actions):
        result = self.env.step(actions)
        self.lived.append((self.seen.copy(), np.array(actions), np.array(result[1])))
        self.seen = result[0]
        return result


def second_implementation(lived, theta, psi, gain, entropy_weight):
    """Equations 24–27 with an entropy bonus, in loops over what the environment was given."""
    for (states, actions, rewards), (following, chosen, _) in zip(lived[:-1], lived[1:], strict=True):
        steps = [np.zeros_like(theta), np.zeros_like(psi), 0.0]
        for s, a, r, s2, a2 in zip(states, actions, rewards, following, chosen, strict=True):
            pi = np.exp(theta[s]) / np.exp(theta[s]).sum()
            d = r - gain + psi[s2, a2] - psi[s, a]
            steps[0][s] += (psi[s, a] - pi @ psi[s]) * (np.eye(len(pi))[a] - pi)
            steps[0][s] -= entropy_weight * pi * (np.log(pi) - pi @ np.log(pi))
            steps[1][s, a] += d
            steps[2] += d
        theta, psi, gain = (
            old + rate / len(states) * step
            for old, rate, step in zip((theta, psi, gain), (0.5, 0.25, 0.125), steps, strict=True)
        )
    return theta, psi, gain


def test_the_next_action_is_the_one_the_environment_is_given_next():
    env = Log(gym.make_vec("pg/Garnet-v0", 3, num_states=4, num_actions=3))
    agent = agent_with([[0.0] * 3] * 4, entropy_weight=0.1)
    pg.train(agent, env, total_steps=120, seed=5, progress=False)
    assert len(env.lived) == 40
    theta, psi, gain = second_implementation(env.lived, np.zeros((4, 3)), np.zeros((4, 3)), 1.0, 0.1)
    assert np.abs(theta).max() > 0.1 and abs(gain - 1) > 0.1
    np.testing.assert_allclose(agent.policy.logits[0].detach(), theta, rtol=0, atol=1e-12)
    np.testing.assert_allclose(agent.critic.values[0].detach(), psi, rtol=0, atol=1e-12)
    assert float(agent.gain) == pytest.approx(gain, abs=1e-12)


class Count(gym.Env):
    """0, 1, 2, …, with one action; pays 1 + the state, and a fortune in state `end` − 1, after which it may end."""

    action_space = Discrete(1)
    observation_space = Discrete(6)

    def __init__(self, end, terminates=False):
        self.end, self.terminates = end, terminates

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = 0
        return 0, {}

    def step(self, action):
        self.state += 1
        reward = 1e6 if self.state == self.end else float(self.state)
        return self.state, reward, self.terminates and self.state == self.end, False, {}


@pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.name)
def test_nothing_passes_a_truncation(mode):
    """Two environments with episodes of 3 and 5 steps, a learner each: the last step of an episode is left out.

    So the fortunes it pays are never seen, and from the end of an episode nothing leads to state 0.
    """
    limits = (3, 5)
    env = SyncVectorEnv([lambda n=n: TimeLimit(Count(n), n) for n in limits], autoreset_mode=mode)
    agent = agent_with([[float(s)] for s in range(6)], num_learners=2)
    collector, taken = collect_steps(env, agent.policy, 1), torch.zeros(2, dtype=torch.int64)
    for _ in range(40):
        record = next(collector)
        taken += record.mask[0]
        agent.update(record)
    assert int(taken.min()) >= 30
    for b, (limit, steps) in enumerate(zip(limits, taken.tolist(), strict=True)):
        values, gain = [float(s) for s in range(6)], 1.0
        for t in range(steps - 1):
            state = t % limit
            if state < limit - 1:
                d = 1.0 + state - gain + values[state + 1] - values[state]
                values[state] += 0.25 * d
                gain += 0.125 * d
        assert agent.critic.values[b, :, 0].tolist() == pytest.approx(values, abs=1e-12)
        assert float(agent.gain[b]) == pytest.approx(gain, abs=1e-12) and gain < 10


@pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.name)
def test_a_termination_is_an_error_and_nothing_is_learned_from_it(mode):
    env = SyncVectorEnv([lambda: Count(3, terminates=True)], autoreset_mode=mode)
    agent = agent_with([[0.0]] * 6)
    collector, states = collect_steps(env, agent.policy, 1), []
    with pytest.raises(ValueError, match="an episode terminated.*actor-critic"):
        for _ in range(5):
            states.append(numbers(agent))
            agent.update(next(collector))
    assert len(states) == 3 and numbers(agent) == states[-1] and float(agent.gain) < 10


def test_another_environment_does_not_go_on_where_the_last_one_stopped():
    agent = agent_with(VALUES)
    for fresh in (rollout([(0, 1, 5, "")]), rollout([(1, 0, 5, "")]), rollout([(0, 0, 5, "")], [(0, 1, 5, "")])):
        assert agent.update(fresh) == {}  # it begins an episode, or has another number of environments
    assert agent.update(rollout([None], [None])) == {}
    assert numbers(agent) == ([[[0, 0], [0, 0]]], [VALUES], [1])


# -- what it climbs ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mdp", [two_state(), river_swim(), garnet(5, 3, 2)], ids=["two states", "river", "garnet"])
def test_with_the_exact_q_the_expected_step_is_the_gradient_of_the_gain(mdp: TabularMDP):
    """Σ_s μ(s) Σ_a π(a|s) · (the step's policy gradient), against central differences of the exact gain.

    Equation 21, with any constant added to Q. All pairs (s, a) are columns, weighted by μ(s) π(a|s).
    """
    states, actions = mdp.num_states, mdp.num_actions
    logits = torch.randn(states, actions, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    policy = logits.softmax(-1).numpy()
    exact = solve.evaluate(mdp, policy, "average")
    agent = agent_with(exact.action_values + 7.0)
    agent.policy.logits.data[0] = logits
    pairs = [(s, a) for s in range(states) for a in range(actions)]
    batch, _ = prepare(agent, rollout(*([(s, a, 0.0, ""), (0, 0, 0.0, "")] for s, a in pairs)))
    shares = (solve.stationary_distribution(mdp, policy)[:, None] * policy).reshape(1, -1)
    agent(replace(batch, weights=torch.as_tensor(shares)))[0].backward()
    step = -agent.policy.logits.grad[0].reshape(-1)

    def gain(index, change):
        moved = logits.clone().reshape(-1)
        moved[index] += change
        return solve.gain(mdp, moved.reshape(states, actions).softmax(-1).numpy())

    gradient = torch.tensor([(gain(i, 1e-5) - gain(i, -1e-5)) / 2e-5 for i in range(len(pairs))], dtype=torch.float64)
    assert float(torch.cosine_similarity(step, gradient, dim=0)) > 0.999999
    torch.testing.assert_close(step, gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_reaches_the_optimal_gain_of_two_states_and_knows_it():
    env = gym.make_vec("pg/TwoStateMDP-v0", 16)
    agent, estimates = pg.AverageReward.for_env(env, seed=3), []

    def gain():
        return solve.gain(env.mdp, agent.policy.probabilities()[0].double().numpy())

    assert gain() == pytest.approx(0.5)  # untrained; the optimum is 0.9
    pg.train(
        agent,
        env,
        total_steps=32_000,
        seed=3,
        progress=False,
        log_every=160,
        probes=[lambda run: {"λ": estimates.append(float(agent.gain)) or 0.0}],
    )
    assert gain() >= 0.98 * 0.9
    assert np.mean(estimates[-20:]) == pytest.approx(gain(), rel=0.02)


# -- what it takes -----------------------------------------------------------------------------------------------------
def test_needs_discrete_actions():
    with pytest.raises(UnsupportedSpaceError, match=r"needs Discrete actions.*Box.*actor-critic"):
        pg.AverageReward.for_env(gym.make("Pendulum-v1"))
    with pytest.raises(UnsupportedSpaceError, match="windows of tokens"):
        pg.AverageReward.for_env(gym.make_vec("pg/Copy-v0", 2))
    own = MLPPolicy(Discrete(2), Box(-1, 1, (1,)), hidden=())
    agent = pg.AverageReward(policy=own, critic=TabularActionCritic(2, 2))
    with pytest.raises(TypeError, match="DiagonalGaussian.*has no probabilities"):
        agent.update(rollout([(0, 1, 5, "")], dtype=torch.float32))


@pytest.mark.parametrize(("name", "value"), [("gain_learning_rate", 0.0), ("initial_gain", float("nan"))])
def test_arguments_out_of_range_are_named(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a finite number.*got {value}"):
        agent_with(VALUES, **{name: value})


def test_a_saved_agent_keeps_its_gain(tmp_path):
    env = gym.make_vec("pg/TwoStateMDP-v0", 2)
    agent = pg.AverageReward.for_env(env)
    pg.train(agent, env, total_steps=100, progress=False)
    agent.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent")
    assert float(loaded.gain) == float(agent.gain) != 1.0 and loaded.arguments == agent.arguments
    assert torch.equal(loaded.critic.values, agent.critic.values) and loaded.overlap.last is None


# -- what it has seen, and how large it is -----------------------------------------------------------------------------
class Walk(gym.Env):
    """x ← 0.9 x ± 0.3 + N(0, 1), which is seen; never ends."""

    observation_space, action_space = Box(-np.inf, np.inf, (1,)), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = 0.0
        return self.observe(), {}

    def observe(self):
        return np.array([self.x], np.float32)

    def step(self, action):
        self.x = 0.9 * self.x + 0.3 * (2 * action - 1) + self.np_random.normal()
        return self.observe(), -abs(self.x), False, False, {}


def test_statistics_of_observations_take_each_row_once():
    env = SyncVectorEnv([Walk] * 2)
    agent = pg.AverageReward.for_env(env, normalize_observations=True)
    collector, rows = collect_steps(env, agent.policy, 1), []
    for _ in range(50):
        rows.append(next(collector))
        agent.update(rows[-1])
    seen = torch.cat([row.observations for row in rows]).double()
    moments = agent.observation_scales[0].moments
    assert float(moments.count) == 100
    torch.testing.assert_close(moments.mean, seen.mean((0, 1)), rtol=0, atol=1e-12)
    torch.testing.assert_close(moments.std(), seen.flatten(0, 1).std(0, correction=0), rtol=0, atol=1e-12)


def test_rewards_and_gain_far_from_zero_are_what_they_differ_by():
    """Rewards of 10⁶ + x beside a gain of 10⁶ teach what x does beside 0; in 32 bits they come in steps of 1/16."""
    learned = []
    for shift in (0.0, 1e6):
        policy, critic = TabularPolicy(1, 2), TabularActionCritic(1, 2)
        agent = pg.AverageReward(policy=policy, critic=critic, initial_gain=shift, **RATES)
        for i in range(20):
            row = rollout([(0, i % 2, 0.01 * i, "")]) if not i else later((0, i % 2, 0.01 * i, ""))
            agent.update(replace(row, rewards=row.rewards + shift))
        learned.append(torch.cat([critic.values.flatten(), policy.logits.flatten(), (agent.gain - shift).float()]))
    torch.testing.assert_close(*(vector.detach() for vector in learned), rtol=0, atol=1e-5)


def moves_its_gain_away(self, rollout, right=pg.AverageReward.update):
    before = self.gain.clone()
    metrics = right(self, rollout)
    self.gain.copy_(2 * before - self.gain)
    return metrics


def takes_in_twice(self, rollout, right=pg.AverageReward.update):
    metrics = right(self, rollout)
    for scale in self.observation_scales:
        scale.update(rollout.observations, rollout.mask)
    return metrics


def targets_with_the_value_of_the_same_action(self, rollout, right=pg.AverageReward.prepare):
    batch, metrics = right(self, rollout)
    taken = self.critic(rollout.observations).gather(-1, rollout.actions[..., None]).squeeze(-1)
    return replace(batch, targets=batch.targets - taken[1:] + taken[:-1]), metrics


def without_starts(rollout):
    return replace(rollout, episode_starts=torch.zeros_like(rollout.episode_starts))


test_seeded_bugs = seeded(
    Bug(
        "the gain moves away from the rewards",
        pg.agents.Agent.update,
        moves_its_gain_away,
        [test_three_steps_of_one_environment_by_hand],
    ),
    Bug(
        "the next action's value is this action's",
        pg.AverageReward.prepare,
        targets_with_the_value_of_the_same_action,
        [test_three_steps_of_one_environment_by_hand],
    ),
    Bug(
        "the action's value is not compared with the policy's",
        Categorical.probabilities,
        with_result(Categorical.probabilities, torch.zeros_like),
        [test_three_steps_of_one_environment_by_hand],
    ),
    Bug(
        "a step is learned from across a reset",
        pg.AverageReward.prepare,
        with_arguments(pg.AverageReward.prepare, rollout=without_starts),
        [test_nothing_passes_a_truncation],
    ),
    Bug(
        "average-reward counts what it has seen twice",
        pg.agents.Agent.update,
        takes_in_twice,
        [test_statistics_of_observations_take_each_row_once],
    ),
)
