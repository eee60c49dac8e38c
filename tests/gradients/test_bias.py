"""Estimators whose expectation is the gradient, and biases that theory predicts to the last digit."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pg_envs import TabularMDP, solve
from support.exactly import (
    PROBLEMS,
    SHORT,
    TINY,
    expected_lambda_returns,
    gradient_of_signals,
    named,
    probabilities,
    tabular,
)

from pg_agents.gradients.catalogue import estimators_of
from pg_agents.gradients.exact import exact_gradient, log_table
from pg_agents.gradients.instrument import Instrument, measure
from pg_agents.gradients.problem import Problem


def unbiased(problem):
    """Return the estimators whose expectation is the gradient, as theory says."""
    return [estimator for estimator in estimators_of(problem) if estimator.unbiased(problem)]


# -- unbiased estimators -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_expectation_of_every_unbiased_estimator_is_the_gradient(problem):
    problem = PROBLEMS[problem]
    instrument = Instrument(problem, tabular(problem), batch_size=2, samples=20)  # few: sums are what is looked at
    counted = 0
    for estimator in unbiased(problem):
        measured = instrument.measure(estimator)
        if measured.enumerated:
            counted += 1
            assert measured.bias < 1e-10, estimator.name
            assert measured.z == 0 and measured.error == 0
            assert measured.cosine == pytest.approx(1, abs=1e-9)
    assert counted >= 5


def test_batches_of_two_steps_are_enumerated_too():
    instrument = Instrument(TINY, tabular(TINY), batch_size=2)
    measured = instrument.measure(named(TINY, "return − mean of the others"))
    assert measured.enumerated and measured.unbiased and measured.bias < 1e-10


@pytest.mark.parametrize("problem", ["episodes", "gain", "contexts"])
def test_samples_of_every_unbiased_estimator_are_within_four_standard_errors(problem):
    problem = PROBLEMS[problem]
    instrument = Instrument(problem, tabular(problem), samples=4_000, enumerate_all=False, seed=1)
    for estimator in unbiased(problem):
        measured = instrument.measure(estimator)
        assert not measured.enumerated and measured.error > 0
        assert measured.z < 4, estimator.name


@pytest.mark.parametrize(
    "name", ["reward-to-go without γ^t", "return − batch mean", "return, group-standardised"]
)  # fmt: skip
def test_samples_convict_what_is_biased(name):
    measured = measure(named(SHORT, name), SHORT, tabular(SHORT), samples=12_000, enumerate_all=False)
    assert not measured.enumerated and measured.z > 6


def test_samples_and_enumeration_measure_the_same():
    """Expectations within four standard errors, variances within 15 % (4,000 samples of all that can be summed)."""
    policy = tabular(SHORT)
    exact, drawn = (Instrument(SHORT, policy, enumerate_all=yes, seed=2) for yes in (True, False))
    for estimator in (estimator for estimator in estimators_of(SHORT) if estimator.separable):
        one, other = exact.measure(estimator), drawn.measure(estimator)
        assert one.enumerated and not other.enumerated
        assert float((one.expected - other.expected).norm()) < 4 * other.error + one.error * 4, estimator.name
        assert other.variance == pytest.approx(one.variance, rel=0.15), estimator.name
        assert other.snr == pytest.approx(one.snr, rel=0.5), estimator.name


# -- estimators whose bias is known ------------------------------------------------------------------------------------
@pytest.mark.parametrize("n", [2, 3])
def test_a_batch_mean_that_includes_the_sample_scales_the_gradient_by_n_minus_1_over_n(n):
    problem = PROBLEMS["bandit"] if n == 3 else TINY
    measured = measure(named(problem, "return − batch mean"), problem, tabular(problem), batch_size=n)
    assert measured.enumerated and not measured.unbiased
    torch.testing.assert_close(measured.expected, (n - 1) / n * measured.exact, rtol=0, atol=1e-10)
    assert measured.bias == pytest.approx(float(measured.exact.norm()) / n) and measured.z > 0


def test_leaving_out_the_discount_of_time_gives_what_theory_says_and_not_the_gradient():
    policy = tabular(SHORT)
    measured = measure(named(SHORT, "reward-to-go without γ^t"), SHORT, policy)
    zeros = np.zeros((SHORT.horizon + 1, 3))
    signals = expected_lambda_returns(SHORT, policy, zeros, 1.0)
    predicted = gradient_of_signals(SHORT, policy, signals, discount=1.0)
    torch.testing.assert_close(measured.expected, predicted, rtol=0, atol=1e-10)
    assert not measured.unbiased and measured.bias > 0.05 * float(measured.exact.norm())
    with_time = gradient_of_signals(SHORT, policy, signals, discount=SHORT.discount)
    torch.testing.assert_close(exact_gradient(SHORT, policy), with_time, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "lambda_"), [("TD residual, learned V", 0.0), ("GAE(0.9), learned V", 0.9)])
def test_bootstrapping_from_a_wrong_value_is_biased_by_the_predicted_amount(name, lambda_):
    policy = tabular(SHORT)
    instrument = Instrument(SHORT, policy)
    measured = instrument.measure(named(SHORT, name))
    learned = np.concatenate([instrument.setting.learned.numpy().reshape(3, 3), np.zeros((1, 3))])
    signals = expected_lambda_returns(SHORT, policy, learned, lambda_)
    predicted = gradient_of_signals(SHORT, policy, signals, SHORT.discount)
    torch.testing.assert_close(measured.expected, predicted, rtol=0, atol=1e-10)
    assert not measured.unbiased and measured.bias > 1e-3


@pytest.mark.parametrize("name", ["actor-critic, half of Q", "TD residual, half of V"])
def test_half_of_the_values_gives_half_of_the_gradient_or_worse(name):
    """½ A has half of the gradient; R + ½ V(S') is off by −½ E V(S'), here with numpy."""
    problem = PROBLEMS["gain"]
    policy = tabular(problem)
    measured = measure(named(problem, name), problem, policy)
    pi, mdp = probabilities(policy), problem.mdp
    values = solve.evaluate(mdp, pi, "average")
    signals = values.advantages / 2
    if name.startswith("TD"):
        signals = mdp.expected_rewards - values.gain + mdp.transitions @ values.state_values / 2
    stationary = solve.stationary_distribution(mdp, pi)
    predicted = stationary[:, None] * pi * (signals - (pi * signals).sum(1, keepdims=True))
    torch.testing.assert_close(measured.expected, torch.tensor(predicted.ravel()), rtol=0, atol=1e-10)
    assert not measured.unbiased and measured.bias > 0.01


def test_dividing_by_the_groups_deviation_turns_the_gradient():
    """With pairs, A_i = ±½|R_1 − R_2| / (|R_1 − R_2|/√2 + ε): rewards of 1 and 100 weigh the same."""
    pays = TabularMDP([[[0, 1]] * 3, [[0, 1]] * 3], [[0, 1, 100], [0, 0, 0]], [1, 0], terminal=[1])
    problem = Problem(pays)
    measured = measure(named(problem, "return, group-standardised"), problem, tabular(problem), batch_size=2)
    pi = probabilities(tabular(problem))[0]
    predicted = np.zeros(3)
    for i, mine in enumerate((0, 1, 100)):
        for j, other in enumerate((0, 1, 100)):
            size = abs(mine - other)
            advantage = 0.5 * (mine - other) / (size / math.sqrt(2) + 1e-4) if size else 0.0
            predicted += pi[i] * pi[j] * advantage * (np.eye(3)[i] - pi)
    np.testing.assert_allclose(measured.expected[:3], predicted, rtol=0, atol=1e-10)
    assert measured.enumerated and not measured.unbiased and measured.cosine < 0.99


def test_pairs_of_rewards_of_0_and_1_are_only_scaled_by_standardising():
    """R_1 − R_2 is 0 or ±1: A = (R_1 − R_2) · 0.5 / (√½ + 1e-4), whose expected gradient is 0.7070… ∇J."""
    problem = PROBLEMS["bandit"]
    measured = measure(named(problem, "return, group-standardised"), problem, tabular(problem), batch_size=2)
    torch.testing.assert_close(measured.expected, 0.7070067953 * measured.exact, rtol=0, atol=1e-9)
    assert measured.cosine == pytest.approx(1, abs=1e-9)


def kl_problem(steps):
    """Return KL(π‖π_ref) over up to `steps` steps of the episodes above."""
    problem = replace(SHORT, discount=1.0, horizon=steps)
    reference = (3 * log_table(tabular(problem, 5), problem).detach()).log_softmax(-1)
    return problem.kl_only(reference)


def test_estimators_of_the_kl_of_whole_sequences():
    problem = kl_problem(3)
    policy = tabular(problem)
    instrument = Instrument(problem, policy)
    names = ("k1 in the reward", "sequence k2 in the loss", *(f"{form} in the loss" for form in ("k1", "k2", "k3")))
    measured = {name: instrument.measure(named(problem, name)) for name in names}
    assert measured["k1 in the reward"].bias < 1e-10 and measured["k1 in the reward"].unbiased
    assert measured["sequence k2 in the loss"].bias < 1e-10 and measured["sequence k2 in the loss"].unbiased
    assert float(measured["k1 in the loss"].expected.abs().max()) < 1e-10
    assert measured["k1 in the loss"].cosine == 0 and measured["k1 in the loss"].snr == 0
    ratio = (log_table(policy, problem).detach() - problem.reference).numpy()
    for name, signal in (("k2 in the loss", -ratio), ("k3 in the loss", np.expm1(-ratio))):
        predicted = gradient_of_signals(problem, policy, [signal] * 3, 1.0)
        torch.testing.assert_close(measured[name].expected, predicted, rtol=0, atol=1e-10)
        assert not measured[name].unbiased and measured[name].bias > 0.03 and measured[name].cosine < 0.9999


def test_k2_is_right_where_one_decision_is_all():
    problem = kl_problem(1)
    instrument = Instrument(problem, tabular(problem))
    k2, k3 = (instrument.measure(named(problem, f"{form} in the loss")) for form in ("k2", "k3"))
    assert k2.unbiased and k2.bias < 1e-10
    assert not k3.unbiased and k3.bias > 0.01
