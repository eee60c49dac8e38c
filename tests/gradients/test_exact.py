"""Exact gradients against hand computations, closed forms, enumeration and central differences."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete
from pg_envs import TabularMDP, solve
from support.exactly import ENDLESS, EPISODES, SHORT, make, probabilities, tabular
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from pg_agents.agents import Reinforce
from pg_agents.data.rollout import Batch
from pg_agents.gradients.exact import (
    double,
    exact_gradient,
    gradient_of,
    jacobian,
    log_table,
    policy_gradient_theorem,
)
from pg_agents.gradients.exact import solve as solution_of
from pg_agents.gradients.paths import Paths, enumerate_completions, enumerate_paths, expected_score, sequence_kl
from pg_agents.gradients.problem import Problem
from pg_agents.gradients.sources import problem_of, prompts_of
from pg_agents.policies import MLPPolicy, TabularPolicy, TransformerPolicy


def mlp(problem, seed=0):
    torch.manual_seed(seed)
    policy = MLPPolicy(Discrete(problem.mdp.num_states), Discrete(problem.mdp.num_actions), hidden=(5,)).double()
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter)
    return policy


def tokens(**arguments):
    """Return a tiny token task's problem, its environment, and a transformer."""
    env = make("pg/Copy-v0", length=1, symbols=2, max_new_tokens=2, **arguments)
    problem = problem_of(env)
    return problem, env, transformer(problem, env, 0)


def transformer(problem, env, seed):
    torch.manual_seed(seed)
    policy = TransformerPolicy(problem.mdp.num_actions, env.unwrapped.rows.window, width=8, layers=2, heads=2).double()
    torch.nn.init.normal_(policy.head.weight)
    return policy


# -- by hand -----------------------------------------------------------------------------------------------------------
def test_a_bandit_by_hand():
    """p = (0.6, 0.4) and π = ½: J = 0.5 and ∇J_a = π_a (p_a − J) = ±0.05."""
    problem = problem_of(make("pg/TwoArmedBandit-v0"))
    policy = TabularPolicy(problem.mdp.num_states, 2)
    gradient = exact_gradient(problem, policy)
    assert gradient.dtype == torch.float64
    torch.testing.assert_close(gradient[:2], torch.tensor([0.05, -0.05], dtype=torch.float64), rtol=0, atol=1e-15)
    assert not gradient[2:].any()


def test_a_contextual_bandit_by_hand():
    """Each context has a third of the weight: ∇J_{s,a} = π (p_{s,a} − ½) / 3 with π = ⅓."""
    problem = problem_of(make("pg/ContextualBandit-v0"))
    gradient = exact_gradient(problem, TabularPolicy(problem.mdp.num_states, 3))[:9].reshape(3, 3)
    expected = [[0.4, 0.0, -0.4], [-0.4, 0.4, 0.0], [0.0, -0.4, 0.4]]
    np.testing.assert_allclose(gradient, np.array(expected) / 9, rtol=0, atol=1e-15)


def test_the_gain_of_two_states_by_its_closed_form():
    """λ = x / (x + y), x = 0.1 + 0.8 p, with p and q the probabilities of switching; dp/dθ = ±p (1 − p)."""
    problem = problem_of(make("pg/TwoStateMDP-v0"))
    policy = tabular(problem)
    p, q = probabilities(policy)[:, 1]
    x, y = 0.1 + 0.8 * p, 0.1 + 0.8 * q
    by_p, by_q = 0.8 * p * (1 - p) * y / (x + y) ** 2, -0.8 * q * (1 - q) * x / (x + y) ** 2
    np.testing.assert_allclose(exact_gradient(problem, policy), [-by_p, by_p, -by_q, by_q], rtol=0, atol=1e-14)


def test_reinforce_on_a_bandit_is_equation_6():
    """θ_a ← θ_a + α R (1[a = A] − π(a)): autograd through the agent's loss agrees to 1e-12."""
    policy = tabular(Problem(TabularMDP(np.ones((1, 4, 1)), np.zeros((1, 4)), [1.0]), horizon=1))
    agent = Reinforce(policy=policy, learning_rate=1.0, optimizer="sgd")
    for action, reward in ((0, 1.0), (2, -3.25), (3, 0.7)):
        number = torch.tensor([[reward]], dtype=torch.float64)
        batch = Batch(
            observations=torch.tensor([[0]]),
            actions=torch.tensor([[action]]),
            weights=torch.ones_like(number),
            advantages=number,
            log_probs=torch.zeros_like(number),
        )
        closed = reward * (np.eye(4)[action] - probabilities(policy)[0])
        gradient = -gradient_of(agent(batch)[0], policy)
        np.testing.assert_allclose(gradient, closed, rtol=0, atol=1e-12)


# -- against numpy, by central differences -----------------------------------------------------------------------------
def value_by_numpy(problem, policy):
    """Return J by pg_envs.solve, which knows nothing of torch."""
    pi = log_table(policy, problem).exp().detach().numpy()
    if problem.average:
        return solve.gain(problem.mdp, pi)
    if problem.horizon:
        return solve.expected_return(problem.mdp, problem.horizon, pi, problem.discount)
    criterion = "total" if problem.discount == 1 else "discounted"
    given = {} if criterion == "total" else {"discount": problem.discount}
    return float(solve.evaluate(problem.mdp, pi, criterion, **given).objective)


OBJECTIVES = {
    "discounted": Problem(ENDLESS, discount=0.9),
    "total": Problem(EPISODES),
    "discounted and ending": Problem(EPISODES, discount=0.7),
    "average": Problem(ENDLESS, average=True, horizon=2),
    "horizon": Problem(ENDLESS, discount=0.95, horizon=7),
    "horizon and ending": SHORT,
}


@pytest.mark.parametrize("kind", [tabular, mlp])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_gradient_is_that_of_central_differences(objective, kind):
    problem = OBJECTIVES[objective]
    policy = kind(problem)
    gradient = exact_gradient(problem, policy)
    value = solution_of(problem, log_table(policy, problem)).objective
    assert float(value.detach()) == pytest.approx(value_by_numpy(problem, policy), abs=1e-12)
    theta = parameters_to_vector(policy.parameters()).detach()
    differences = torch.empty_like(theta)
    for i, direction in enumerate(1e-5 * torch.eye(len(theta), dtype=torch.float64)):
        ends = []
        for sign in (1, -1):
            vector_to_parameters(theta + sign * direction, policy.parameters())
            ends.append(value_by_numpy(problem, policy))
        differences[i] = (ends[0] - ends[1]) / 2e-5
    assert gradient.shape == theta.shape
    assert float((gradient - differences).norm()) < 1e-6 * float(gradient.norm())


# -- against enumeration -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", [tabular, mlp])
@pytest.mark.parametrize("objective", ["horizon", "horizon and ending"])
def test_the_gradient_is_that_of_the_sum_over_all_trajectories(objective, kind):
    problem = replace(OBJECTIVES[objective], horizon=4)
    policy = kind(problem)
    paths = enumerate_paths(problem, problem.mdp.initial)
    rollout = paths.rollout
    seen = Paths(replace(rollout, observations=rollout.observations % problem.mdp.num_states), paths.chances)
    returns = (problem.discount ** rollout.times.double() * rollout.rewards).sum(0)
    total = expected_score(policy, seen, returns)
    assert expected_score(policy, seen, torch.ones_like(returns)).item() == pytest.approx(1, abs=1e-12)
    gradient = exact_gradient(problem, policy)
    torch.testing.assert_close(gradient_of(total, policy), gradient, rtol=0, atol=1e-10)
    assert gradient.norm() > 0.1


def test_a_token_task_by_its_linear_system_is_the_sum_over_all_completions():
    problem, env, policy = tokens()
    paths = enumerate_completions(env.unwrapped.task, prompts_of(env.unwrapped.task, 0))
    assert len(paths.chances) == 2 * (1 + 5 * 6)  # EOS at once, or one of five others and then any of six
    total = expected_score(policy, paths, paths.rollout.episode_returns)
    gradient = exact_gradient(problem, policy)
    torch.testing.assert_close(gradient_of(total, policy), gradient, rtol=0, atol=1e-10)
    assert gradient.norm() > 0.01


def test_the_kl_of_whole_sequences_by_its_linear_system_is_the_sum_over_all_completions():
    problem, env, policy = tokens()
    reference = transformer(problem, env, 1)
    paths = enumerate_completions(env.unwrapped.task, prompts_of(env.unwrapped.task, 0))
    divergence = sequence_kl(policy, reference, paths)
    problem = problem.kl_only(log_table(reference, problem).detach())
    value = solution_of(problem, log_table(policy, problem)).objective
    assert value.item() == pytest.approx(-divergence.item())
    gradient = exact_gradient(problem, policy)
    torch.testing.assert_close(-gradient_of(divergence, policy), gradient, rtol=0, atol=1e-10)
    assert divergence > 0.1 and gradient.norm() > 0.1


def test_a_window_that_slides_is_seen_as_the_environment_shows_it():
    problem, env, _ = tokens(window=3)
    observation, _ = env.reset(seed=3)
    tree, prompts = problem.observations, prompts_of(env.unwrapped.task, 0)
    start = [i for i, prompt in enumerate(prompts) if list(prompt) == observation["tokens"].tolist()][0]
    state = int(np.flatnonzero(problem.mdp.initial)[start])
    assert tree["tokens"][state].tolist() == observation["tokens"].tolist()
    following, *_ = env.step(5)
    state = int(problem.mdp.transitions[state, 5].argmax())
    assert tree["tokens"][state].tolist() == following["tokens"].tolist() and int(tree["length"][state]) == 3


@pytest.mark.parametrize("kind", [tabular, mlp])
@pytest.mark.parametrize("env_id", ["pg/TwoStateMDP-v0", "pg/RiverSwim-v0", "pg/Garnet-v0"])
def test_the_policy_gradient_theorem_is_the_gradient_of_the_gain(env_id, kind):
    problem = problem_of(make(env_id))
    policy = kind(problem)
    gradient = exact_gradient(problem, policy)
    torch.testing.assert_close(policy_gradient_theorem(problem, policy), gradient, rtol=0, atol=1e-10)
    assert gradient.norm() > 1e-4


# -- what it is made of ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_values_are_those_of_numpy(objective):
    problem = OBJECTIVES[objective]
    policy = tabular(problem)
    pi, mdp = probabilities(policy), problem.mdp
    solution = solution_of(problem, log_table(policy, problem))
    if problem.timed:
        expected = solve.finite_horizon_values(mdp, problem.horizon, pi, problem.discount)[:-1].ravel()
    else:
        given = {"discount": problem.discount} if objective.startswith("discounted") else {}
        expected = solve.evaluate(mdp, pi, problem.objective, **given).state_values
    values = solution.values.detach().numpy()
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-12)
    means = (np.tile(pi, (len(values) // len(pi), 1)) * solution.advantages.detach().numpy()).sum(1)
    np.testing.assert_allclose(means, 0, rtol=0, atol=1e-12)


def test_the_jacobian_is_that_of_all_log_probabilities():
    problem = SHORT
    policy = mlp(problem)
    rows = jacobian(problem, policy)
    table = log_table(policy, problem)
    for entry, row in zip(table.flatten(), rows, strict=True):
        parameters = list(policy.parameters())
        expected = torch.cat([g.flatten() for g in torch.autograd.grad(entry, parameters, retain_graph=True)])
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-13)


def test_a_policy_in_single_precision_is_left_as_it_is():
    policy = TabularPolicy(3, 2)
    before = policy.logits.data_ptr()
    assert exact_gradient(SHORT, policy).dtype == torch.float64
    assert policy.logits.dtype == torch.float32 and policy.logits.data_ptr() == before and policy.logits.grad is None
    assert double(policy).logits.dtype == torch.float64
