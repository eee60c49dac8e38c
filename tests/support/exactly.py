"""Policies to measure, and expected gradients of tabular policies by numpy, independent of the code under test."""

from dataclasses import replace

import gymnasium as gym
import numpy as np
import torch
from pg_envs import TabularMDP

from pg_agents.gradients.catalogue import estimators_of
from pg_agents.gradients.problem import Problem
from pg_agents.gradients.sources import problem_of
from pg_agents.policies import TabularPolicy

# Two states, two actions and an end (state 2); every probability and reward is different from every other.
EPISODES = TabularMDP(
    [
        [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]],
        [[0.4, 0.4, 0.2], [0.0, 0.5, 0.5]],
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]],
    ],
    [[[1.0, -2.0, 0.5], [3.0, 0.3, -1.0]], [[0.0, 2.0, -0.7], [9.9, 1.1, 4.0]], np.zeros((2, 3)).tolist()],
    [0.7, 0.3, 0.0],
    terminal=[2],
)
ENDLESS = TabularMDP(
    [[[0.9, 0.1, 0.0], [0.2, 0.5, 0.3]], [[0.4, 0.0, 0.6], [0.1, 0.1, 0.8]], [[0.3, 0.3, 0.4], [1.0, 0.0, 0.0]]],
    [[1.0, 0.2], [-0.5, 2.0], [0.0, 4.0]],
    [1.0, 0.0, 0.0],
)
SHORT = Problem(EPISODES, discount=0.8, horizon=3)
TINY = replace(SHORT, horizon=2)  # few enough trajectories to enumerate batches of two


def make(env_id, **arguments):
    return gym.make(env_id, **arguments)


PROBLEMS = {
    "episodes": SHORT,
    "two steps": TINY,
    "gain": problem_of(make("pg/TwoStateMDP-v0")),
    "bandit": problem_of(make("pg/TwoArmedBanditClose-v0")),
    "contexts": problem_of(make("pg/ContextualBandit-v0")),
}


def tabular(problem, seed=0):
    """Return a tabular policy with logits from N(0, 1)."""
    policy = TabularPolicy(problem.mdp.num_states, problem.mdp.num_actions).double()
    policy.logits.data.copy_(torch.tensor(np.random.default_rng(seed).standard_normal(policy.logits.shape)))
    return policy


def named(problem, name):
    return next(estimator for estimator in estimators_of(problem) if estimator.name == name)


def probabilities(policy):
    return policy.probabilities()[0].numpy()


def visits(problem, policy):
    """Return P(S_t = s) for the steps before the horizon, [T, S], terminal states left out."""
    chain = np.einsum("sa,san->sn", probabilities(policy), problem.mdp.transitions)
    rows = [problem.mdp.initial]
    for _ in range(problem.horizon - 1):
        rows.append(rows[-1] @ chain)
    return np.array(rows) * ~problem.mdp.terminal


def gradient_of_signals(problem, policy, signals, discount):
    """Return E Σ_t discount^t Ψ_t(S_t, A_t) ∇ ln π in the logits, [S · A], for E[Ψ_t | s, a] = signals[t]."""
    pi = probabilities(policy)
    total = np.zeros_like(pi)
    for t, visit in enumerate(visits(problem, policy)):
        mean = (pi * signals[t]).sum(1, keepdims=True)
        total += discount**t * visit[:, None] * pi * (signals[t] - mean)
    return torch.tensor(total.ravel())


def expected_lambda_returns(problem, policy, values, lambda_):
    """Return E[G^λ_t | s, a] with V = values [T + 1, S], [T, S, A], by backward recursion."""
    mdp, pi, gamma = problem.mdp, probabilities(policy), problem.discount
    following, signals = np.zeros(mdp.num_states), []
    for t in reversed(range(problem.horizon)):
        last = t == problem.horizon - 1
        ahead = np.zeros(mdp.num_states) if last else (1 - lambda_) * values[t + 1] + lambda_ * following
        signals.append(mdp.expected_rewards + gamma * mdp.transitions @ np.where(mdp.terminal, 0, ahead))
        following = (pi * signals[-1]).sum(1)
    return np.array(signals[::-1])
