"""What has no exact gradient is refused, with the limit and the way out."""

import pytest
import torch
from gymnasium.spaces import Box, Discrete
from pg_envs import TabularMDP
from support.exactly import ENDLESS, EPISODES, SHORT, tabular

from pg_agents.gradients.exact import (
    exact_gradient,
    jacobian,
    policy_gradient_theorem,
)
from pg_agents.gradients.problem import Problem
from pg_agents.policies import MLPPolicy, TabularPolicy


def test_a_policy_that_never_takes_an_action_is_refused():
    policy = tabular(SHORT)
    policy.logits.data[0, 1, 0] = -torch.inf
    with pytest.raises(ValueError, match="action 0 has probability zero in state 1.*some probability"):
        exact_gradient(SHORT, policy)


def test_policies_without_one_table_are_refused():
    with pytest.raises(ValueError, match="3 independent learners"):
        exact_gradient(SHORT, TabularPolicy(3, 2, num_learners=3))
    with pytest.raises(ValueError, match=r"shape \(3, 5\), the problem's states and actions \(3, 2\)"):
        exact_gradient(SHORT, TabularPolicy(3, 5))
    with pytest.raises(ValueError, match="DiagonalGaussian actions cannot be enumerated"):
        exact_gradient(SHORT, MLPPolicy(Discrete(3), Box(-1, 1, (1,))))


def test_a_gain_that_depends_on_the_beginning_is_refused():
    """From state 0 one gets into state 1 or 2 and stays there."""
    apart = TabularMDP([[[0, 0.5, 0.5]], [[0, 1, 0]], [[0, 0, 1]]], [[0], [1], [2]], [1, 0, 0])
    problem = Problem(apart, average=True, horizon=2)
    with pytest.raises(ValueError, match=r"2 recurrent classes \(\[1\] and \[2\]\).*horizon"):
        exact_gradient(problem, tabular(problem))


def test_a_total_that_does_not_exist_is_refused():
    problem = Problem(ENDLESS)
    with pytest.raises(ValueError, match="no terminal state can be reached from state 0.*horizon"):
        exact_gradient(problem, tabular(problem))


def test_the_theorem_is_of_the_average_reward_alone():
    with pytest.raises(ValueError, match="objective must be average, got discounted"):
        policy_gradient_theorem(SHORT, tabular(SHORT))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"discount": 1.2}, r"discount must lie in \[0, 1\], got 1.2"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"average": True}, "horizon: give the length of the windows"),
        ({"average": True, "horizon": 2, "kl_weight": 1.0}, "kl_weight"),
    ],
)
def test_problems_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Problem(EPISODES, **arguments)


def test_a_process_too_large_for_a_linear_system_is_refused(monkeypatch):
    monkeypatch.setattr("pg_agents.gradients.problem.MAX_STATES", 2)
    with pytest.raises(ValueError, match="3 states are too many for a linear system.*horizon"):
        Problem(EPISODES)
    assert Problem(EPISODES, horizon=5).timed


def test_a_policy_with_too_many_derivatives_is_refused(monkeypatch):
    monkeypatch.setattr("pg_agents.gradients.exact.MAX_ENTRIES", 35)
    with pytest.raises(ValueError, match="6 parameters times 3 states and 2 actions are more than 35.*smaller"):
        jacobian(SHORT, tabular(SHORT))
    monkeypatch.setattr("pg_agents.gradients.exact.MAX_ENTRIES", 36)
    assert jacobian(SHORT, tabular(SHORT)).shape == (6, 6)
