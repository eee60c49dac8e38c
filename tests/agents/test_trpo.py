"""TRPO and the natural policy gradient: exact directions, exact refusals, the trust region kept."""

import math
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import spaces
from pg_envs import TabularMDP
from support.bugs import Bug, seeded, with_arguments
from support.hand_made import padded, prepare, rollout
from torch import nn

import pg_agents as pg
from pg_agents.agents import TRPO, NaturalPolicyGradient, trpo
from pg_agents.agents.common import natural_gradient as natural
from pg_agents.data.rollout import Batch
from pg_agents.distributions import Categorical
from pg_agents.functional.divergences import kl_divergence
from pg_agents.gradients.exact import exact_gradient, log_table, solve
from pg_agents.gradients.problem import Problem
from pg_agents.policies import Policy, TabularCritic, TabularPolicy

BOTH = [TRPO, NaturalPolicyGradient]
F64 = torch.float64
PRECISE = {"damping": 0.0, "cg_iterations": 60, "max_kl": 1e-8}
LOGITS = torch.tensor([[0.3, -0.2, 0.7], [-0.5, 0.4, 0.1]], dtype=F64)


def make(kind=TRPO, *, logits=LOGITS, values=(2.0, 1.0), **arguments):
    policy, critic = TabularPolicy(*logits.shape).double(), TabularCritic(len(values)).double()
    policy.logits.data[0] = logits
    critic.values.data[0] = torch.tensor(values)
    return kind(policy=policy, critic=critic, **{"discount": 0.5, "minibatch_size": 4, **arguments})


# Weights, values and rewards that leave no advantage at zero.
RECORD = rollout(
    [(0, 1, 1, ""), (1, 0, 2, ""), (0, 2, 4, "T"), (1, 1, 3, "")],
    [(1, 2, 8, "X"), (0, 0, 1, ""), (1, 1, -2, ""), (0, 1, 0, "")],
    final={(0, 1): 0, (3, 0): 0, (3, 1): 1},
)


def acted(agent, record):
    """Return the record with the log-probabilities of the agent's policy as it is."""
    with torch.no_grad():
        return replace(record, log_probs=agent.policy(record.observations).log_prob(record.actions))


# -- what it learns from -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", BOTH)
def test_advantages_by_hand(kind):
    """γ = ½, λ = ½, V = (2, 1). Column 0 backwards: 3 + ½·2 − 1 = 3, cut; 4 − 2 = 2; 2 + ½·2 − 1 + ¼·2 = 2.5;
    1 + ½·1 − 2 + ¼·2.5 = 0.125. Column 1: 0 + ½·1 − 2 = −1.5, cut; −2 + ½·2 − 1 − ¼·1.5 = −2.375;
    1 + ½·1 − 2 − ¼·2.375 = −1.09375; 8 + ½·2 − 1 = 8, truncated before state 0.
    """
    batch, metrics = prepare(make(kind, gae_lambda=0.5, normalize_advantages=False), RECORD)
    expected = [[0.125, 8], [2.5, -1.09375], [2, -2.375], [3, -1.5]]
    assert batch.advantages.tolist() == expected
    values = torch.tensor([[2.0, 1], [1, 2], [2, 1], [1, 2]])
    assert batch.targets.tolist() == (torch.tensor(expected) + values).tolist()
    assert batch.weights.tolist() == [[0.125] * 2] * 4
    total, left = np.var(batch.targets.numpy()), np.var(expected)
    assert float(metrics["explained_variance"]) == pytest.approx(1 - left / total)
    standard, _ = prepare(make(kind, gae_lambda=0.5), RECORD)
    assert float(standard.advantages.mean()) == pytest.approx(0, abs=1e-12)
    assert float(standard.advantages.std(correction=0)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("kind", BOTH)
def test_the_gradient_of_the_loss_is_that_of_the_policy_gradient(kind):
    """−Σ w Â (1_A − π), at the policy that acted."""
    agent = make(kind)
    record = acted(agent, RECORD)
    batch, _ = prepare(agent, record)
    expected, pi = torch.zeros(2, 3, dtype=F64), agent.policy.probabilities()[0]
    for state, action, advantage in zip(
        record.observations.flatten(), record.actions.flatten(), batch.advantages.flatten(), strict=True
    ):
        expected[state] -= advantage * (torch.eye(3, dtype=F64)[action] - pi[state]) / 8
    agent.zero_grad()
    agent(batch)[0].backward()
    torch.testing.assert_close(agent.policy.logits.grad[0], expected, rtol=0, atol=1e-14)
    assert agent.critic.values.grad is None


@pytest.mark.parametrize("kind", BOTH)
def test_padding_changes_nothing(kind):
    agents = [make(kind), make(kind)]
    ended = rollout([(0, 1, 1, ""), (1, 0, 2, "T")], [(1, 2, 8, ""), (0, 1, 3, "X")], final={(1, 1): 1})
    plain = acted(agents[0], ended)
    for agent, record in zip(agents, (plain, padded(plain, 3)), strict=True):
        batch, _ = prepare(agent, record)
        agent.config = agent.config.replace(epochs=2, minibatch_size=100)
        agent.optimize(batch)
    torch.testing.assert_close(agents[0].policy.logits, agents[1].policy.logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(agents[0].critic.values, agents[1].critic.values, rtol=0, atol=1e-10)


# -- directions --------------------------------------------------------------------------------------------------------
EPISODES = Problem(
    TabularMDP(
        [
            [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]],
            [[0.4, 0.4, 0.2], [0.0, 0.5, 0.5], [0.2, 0.2, 0.6]],
            [[0.0, 0.0, 1.0]] * 3,
        ],
        [[1.0, 3.0, -2.0], [0.5, 9.0, 4.0], [0.0, 0.0, 0.0]],
        [0.7, 0.3, 0.0],
        terminal=[2],
    ),
    discount=0.8,
)


def exactly(policy):
    """Return the batch of all states and actions as often as the discounted process visits them, with exact advantages.

    Weights d(s) π(a|s), d = ρᵀ (I − γ P_π)⁻¹ normalised; the normaliser; A(s,a).
    """
    with torch.no_grad():
        table = log_table(policy, EPISODES)
        advantages = solve(EPISODES, table).advantages[:2]
    pi, mdp = table.exp().numpy(), EPISODES.mdp
    chain = np.einsum("sa,san->sn", pi, mdp.transitions)[:2, :2]
    visits = np.linalg.solve(np.eye(2) - EPISODES.discount * chain.T, mdp.initial[:2])
    states, actions = torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")
    weights = torch.tensor(visits / visits.sum())[:, None] * table[:2].exp()
    return Batch(states, actions, weights, advantages, table[:2]), visits.sum(), advantages


def three_states():
    return torch.cat([LOGITS, torch.zeros(1, 3, dtype=F64)])


@pytest.mark.parametrize("kind", BOTH)
def test_the_natural_gradient_of_a_table_is_the_advantage(kind):
    """F⁺ ∇J = A(s,·) minus its mean over actions, whatever the policy and however rarely a state is visited."""
    agent = make(kind, logits=three_states(), values=(0.0, 0.0, 0.0), **PRECISE)
    batch, total, advantages = exactly(agent.policy)
    (gradient,) = torch.autograd.grad(-total * agent(batch)[0], agent.policy.logits)
    exact = exact_gradient(EPISODES, agent.policy)
    torch.testing.assert_close(gradient.flatten(), exact, rtol=0, atol=1e-12)  # so Σ w Â ∇ ln π is ∇J
    agent.optimize(_without_critic(agent, batch))
    step = (agent.policy.logits[0, :2] - LOGITS).detach()
    expected = advantages - advantages.mean(1, keepdim=True)
    torch.testing.assert_close(step / step.norm(), expected / expected.norm(), rtol=0, atol=1e-6)
    plain = exact.reshape(3, 3)[:2]
    assert float((plain / plain.norm() - expected / expected.norm()).abs().max()) > 0.1
    assert agent.policy.logits[0, 2].tolist() == [0, 0, 0]  # never visited


def _without_critic(agent, batch):
    agent.config = agent.config.replace(epochs=1)
    return replace(batch, targets=torch.zeros_like(batch.weights))


class Scaled(Policy):
    """The same policies by other parameters: logits = c · θ for each entry."""

    def __init__(self, scale):
        super().__init__()
        self.scale, self.theta = scale, nn.Parameter(LOGITS / scale)

    def forward(self, observations, memory=None, episode_starts=None):
        return Categorical((self.scale * self.theta)[observations])


@pytest.mark.parametrize("kind", BOTH)
def test_the_natural_step_does_not_depend_on_the_parametrisation(kind):
    """Logits scaled by 0.1 … 5 move the policy as far and to the same place; plain gradients do not."""
    scale = torch.tensor([[0.1, 1.0, 5.0], [2.0, 0.3, 0.7]], dtype=F64)
    moves, plain = [], []
    for scaling in (torch.ones_like(scale), scale):
        agent = kind(policy=Scaled(scaling), critic=TabularCritic(2).double(), discount=0.5, **PRECISE)
        batch, _ = prepare(agent, acted(agent, RECORD))
        before = (scaling * agent.policy.theta).log_softmax(-1).detach()
        (slope,) = torch.autograd.grad(-agent(batch)[0], agent.policy.theta)
        plain.append((before + 1e-4 * scaling * slope).log_softmax(-1) - before)
        agent.optimize(batch)
        moves.append((scaling * agent.policy.theta).log_softmax(-1).detach() - before)
    assert float(moves[0].abs().max()) > 1e-5
    torch.testing.assert_close(moves[0], moves[1], rtol=1e-5, atol=1e-9)
    one, other = (move / move.norm() for move in plain)
    assert float((one * other).sum()) < 0.9


@pytest.mark.parametrize("max_kl", [1e-6, 1e-3])
def test_the_natural_policy_gradient_goes_as_far_as_it_says(max_kl):
    agent = make(NaturalPolicyGradient, **(PRECISE | {"max_kl": max_kl}))
    before = agent.policy(torch.arange(2)).logits.detach()
    metrics = agent.update(acted(agent, RECORD))
    after = agent.policy(torch.arange(2)).logits.detach()
    by_hand = float(0.5 * (before.exp() * (before - after)).sum())  # each state half of the time
    assert float(metrics["kl"]) == pytest.approx(by_hand, rel=1e-6)
    assert by_hand == pytest.approx(max_kl, rel=0.1)
    assert float(metrics["cg_residual"]) < 1e-4


# -- the trust region --------------------------------------------------------------------------------------------------
class Steep(Policy):
    """Logits θ + c θ²: to first order around 0 a table, soon far from it."""

    def __init__(self, bend):
        super().__init__()
        self.bend = bend
        self.theta = nn.Parameter(torch.zeros(2, 3, dtype=F64))

    def forward(self, observations, memory=None, episode_starts=None):
        return Categorical((self.theta + self.bend * self.theta.square())[observations])


def steep(bend, **arguments):
    return TRPO(policy=Steep(bend), critic=TabularCritic(2).double(), damping=0.0, max_kl=0.01, **arguments)


def test_where_every_trial_is_refused_the_policy_is_what_it_was():
    agent = steep(1000, line_search_trials=2, backtrack=0.99)
    agent.policy.theta.data += 0.1 * torch.tensor([[1 / 3, 0.0, 0.1], [0.2, 0.7, -0.1]], dtype=F64)
    before, values = agent.policy.theta.detach().clone(), agent.critic.values.detach().clone()
    metrics = agent.update(acted(agent, RECORD))
    assert torch.equal(agent.policy.theta, before)
    assert {name: float(metrics[name]) for name in ("step_fraction", "kl", "surrogate_improvement")} == {
        "step_fraction": 0,
        "kl": 0,
        "surrogate_improvement": 0,
    }
    assert not torch.equal(agent.critic.values, values)  # the critic learns all the same


def test_the_step_is_shortened_until_it_is_near_enough():
    """The whole step has a KL of 0.157; the surrogate is better there, so that the KL alone stops it."""
    agent = steep(-30, line_search_trials=60, backtrack=0.9)
    record = acted(agent, RECORD)
    batch, _ = prepare(agent, record)
    old = agent.policy(torch.arange(2)).logits.detach()
    loss = float(agent(batch)[0].detach())
    metrics = agent.optimize(batch)
    new = agent.policy(torch.arange(2)).logits.detach()
    kl = float(0.5 * (old.exp() * (old - new)).sum())
    assert 0 < kl <= 0.01 and float(metrics["kl"]) == pytest.approx(kl, rel=1e-9)
    fraction = float(metrics["step_fraction"])
    assert 0 < fraction < 0.5 and math.log(fraction) / math.log(0.9) == pytest.approx(
        round(math.log(fraction) / math.log(0.9)), abs=1e-4
    )
    improvement = loss - float(agent(batch)[0].detach())
    assert improvement > 0 and float(metrics["surrogate_improvement"]) == pytest.approx(improvement, rel=1e-9)
    assert "entropy" in metrics and "explained_variance" not in metrics


def test_a_step_in_the_wrong_direction_is_never_taken(monkeypatch):
    """With the sign of the step wrong the surrogate gets worse, near enough as it is."""
    right = natural.natural_step_of
    monkeypatch.setattr(trpo, "natural_step_of", lambda *given: (-right(*given)[0], torch.zeros(())))
    agent = make()
    before = agent.policy.logits.detach().clone()
    metrics = agent.update(acted(agent, RECORD))
    assert float(metrics["step_fraction"]) == 0 and torch.equal(agent.policy.logits, before)


class Everything(gym.Env):
    """Two steps of noise, rewarded for nothing but being large; the actions' space is given."""

    observation_space = spaces.Box(-1, 1, (2,))

    def __init__(self, action_space):
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 2
        return self.observe(), {}

    def observe(self):
        return self.np_random.uniform(-1, 1, 2).astype(np.float32)

    def step(self, action):
        self.left -= 1
        return self.observe(), float(np.sum(action)), self.left == 0, False, {}


ACTIONS = {
    "discrete": (spaces.Discrete(3), {}),
    "several": (spaces.MultiDiscrete([3, 2]), {}),
    "bits": (spaces.MultiBinary(3), {}),
    "box": (spaces.Box(-np.inf, np.inf, (2,)), {}),
    "bounds": (spaces.Box(-2, 1, (2,)), {}),
    "squashed": (spaces.Box(-2, 1, (2,)), {"squash": True}),
}


@pytest.mark.parametrize("actions", ACTIONS)
@pytest.mark.parametrize("kind", BOTH)
def test_the_divergence_of_every_kind_of_action_is_what_is_said(kind, actions):
    """Three updates; the KL is measured anew, from a copy of the policy that acted."""
    space, arguments = ACTIONS[actions]
    env = gym.vector.SyncVectorEnv([lambda: Everything(space)] * 4)
    agent = kind.for_env(env, seed=3, num_steps=32, max_kl=0.02, minibatch_size=32, **arguments)
    collector = pg.collect_steps(env, agent.policy, 32, seed=5)
    other = kind.for_env(env, seed=3, num_steps=32, minibatch_size=32, **arguments)
    for _ in range(3):
        other.load_state_dict(agent.state_dict())
        record = next(collector)
        metrics = agent.update(record)
        with torch.no_grad():
            distributions = [one.policy(record.observations) for one in (other, agent)]
            kl = kl_divergence(*distributions)[record.mask].mean()
        assert float(metrics["kl"]) == pytest.approx(float(kl), rel=1e-3, abs=1e-7)
        assert float(kl) > 1e-4
        assert float(kl) <= (0.02 if kind is TRPO else 0.1)
        assert all(torch.isfinite(value).all() for value in agent.state_dict().values())


# -- the critic --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", BOTH)
def test_the_critic_regresses_on_its_targets(kind):
    """Many steps of Adam reach the mean of each state's targets, which stay as they were made."""
    agent = make(kind, epochs=400, minibatch_size=8, critic_learning_rate=0.02, gae_lambda=0.5)
    record = acted(agent, RECORD)
    targets = prepare(agent, record)[0].targets
    metrics = agent.update(record)
    means = [float(targets[record.observations == state].mean()) for state in (0, 1)]
    np.testing.assert_allclose(agent.critic.values[0].detach(), means, rtol=0, atol=0.05)
    assert agent.flat_optimizer.groups == [[agent.critic.values]]
    assert math.isfinite(metrics["value_loss"])


@pytest.mark.parametrize("kind", BOTH)
def test_the_critic_leaves_the_policy_alone(kind):
    agent = make(kind)
    batch, _ = prepare(agent, acted(agent, RECORD))
    before = agent.policy.logits.detach().clone()
    agent.flat_optimizer.set_learning_rates([agent.current("critic_learning_rate")])
    natural.fit_values(agent.critic, agent.parts(batch), agent.optimizer_step)
    assert torch.equal(agent.policy.logits, before) and agent.policy.logits.grad is None


# -- what is refused ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", BOTH)
def test_gradients_that_are_not_finite_change_nothing(kind):
    for spoil in ("rewards", "values"):
        agent = make(kind)
        agent.update(acted(agent, RECORD))
        record = acted(agent, replace(RECORD, rewards=RECORD.rewards.clone()))
        if spoil == "rewards":
            record.rewards[0, 0] = math.nan
        else:
            agent.critic.values.data[0, 0] = math.inf
        before = {name: value.clone() for name, value in agent.state_dict().items()}
        with pytest.raises(FloatingPointError, match="is not finite"):
            agent.update(record)
        assert all(torch.equal(value, before[name]) for name, value in agent.state_dict().items())


@pytest.mark.parametrize("kind", BOTH)
def test_networks_that_a_natural_step_cannot_move_alone_are_refused(kind):
    with pytest.raises(ValueError, match="num_learners must be 1, got 3"):
        kind(policy=TabularPolicy(2, 2, num_learners=3), critic=TabularCritic(2, num_learners=3))
    policy, critic = TabularPolicy(2, 2), TabularCritic(2)
    critic.shared = policy.logits
    with pytest.raises(ValueError, match="critic: it shares parameters with the policy"):
        kind(policy=policy, critic=critic)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("max_kl", (0, -0.1, math.nan, math.inf)),
        ("damping", (-1e-9, math.nan)),
        ("cg_iterations", (0, 1.5)),
        ("backtrack", (0, 1, math.nan)),
        ("line_search_trials", (0, None)),
        ("fisher_fraction", (0, 1.1, math.nan)),
        ("gae_lambda", (-0.1, 1.1)),
        ("epochs", (0,)),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(name, values):
    for value in values:
        with pytest.raises(ValueError, match=f"{name} must be"):
            make(TRPO, **{name: value})


# -- a part of the states ----------------------------------------------------------------------------------------------
def test_a_part_of_the_steps_weighs_as_much_as_all():
    """Half and a third of eight steps; padding is in no part."""
    agent = make()
    batch, _ = prepare(agent, padded(acted(agent, RECORD), 2))
    assert natural.some_of(agent.split, batch, 1.0) is batch
    for fraction, steps in ((0.5, (4,)), (0.3, (2, 3))):
        part = natural.some_of(agent.split, batch, fraction)
        assert part.weights.numel() in steps and bool((part.weights > 0).all())
        assert float(part.weights.sum()) == pytest.approx(1, abs=0.25)


@pytest.mark.parametrize("kind", BOTH)
def test_the_divergence_is_of_all_steps_where_the_fisher_matrix_is_of_some(kind, monkeypatch):
    sizes = []
    product = natural.Fisher.__init__

    def spy(self, divergence):
        sizes.append(divergence.weights.numel())
        product(self, divergence)

    monkeypatch.setattr(natural.Fisher, "__init__", spy)
    agent = make(kind, fisher_fraction=0.5)
    before = agent.policy(torch.arange(2)).logits.detach()
    metrics = agent.update(acted(agent, RECORD))
    after = agent.policy(torch.arange(2)).logits.detach()
    assert sizes == [4]
    assert float(metrics["kl"]) == pytest.approx(float(0.5 * (before.exp() * (before - after)).sum()), rel=1e-9)


test_seeded_bugs = seeded(
    Bug(
        "the natural step goes down",
        natural.natural_step,
        with_arguments(natural.natural_step, gradient=torch.neg),
        [test_the_natural_gradient_of_a_table_is_the_advantage],
    ),
    Bug(
        "a step out of the trust region is taken",
        natural.line_search,
        with_arguments(natural.line_search, max_kl=lambda max_kl: math.inf),
        [test_the_step_is_shortened_until_it_is_near_enough],
    ),
)
