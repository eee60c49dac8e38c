"""The instrument's numbers by hand, and how it comes to them."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from pg_envs import MDPVectorEnv, TabularMDP
from support.exactly import (
    EPISODES,
    PROBLEMS,
    SHORT,
    TINY,
    make,
    named,
    probabilities,
    tabular,
)

from pg_agents.agents import Reinforce
from pg_agents.collection.collectors import collect_episodes
from pg_agents.functional.comparisons import group_standardize
from pg_agents.gradients.catalogue import estimators_of
from pg_agents.gradients.estimators import Setting, always, from_psi
from pg_agents.gradients.exact import exact_gradient, gradient_of, jacobian, log_table
from pg_agents.gradients.instrument import Instrument, measure
from pg_agents.gradients.paths import columns_of, sample_paths
from pg_agents.gradients.problem import Problem
from pg_agents.gradients.sources import bernoulli_bandit
from pg_agents.policies import MLPPolicy, TabularPolicy


# -- the numbers -------------------------------------------------------------------------------------------------------
def test_every_number_by_hand():
    """p = (0.6, 0.4), π = ½, n = 4: ĝ is (½, −½) with probability 0.3, (−½, ½) with 0.2, else 0.

    E ĝ = (0.05, −0.05); a single's variance is ½ · 0.5 − 0.005 = 0.245, a batch's a quarter of it; each component has
    half of that; 1,000 batches have a thousandth.
    """
    problem = Problem(bernoulli_bandit((0.6, 0.4)))
    policy = TabularPolicy(3, 2)
    double_reward = from_psi("twice", lambda s, r: 2 * r.rewards, lambda problem: False)
    plain = measure(named(problem, "whole return"), problem, policy, samples=4_000, batch_size=4)
    twice = measure(double_reward, problem, policy, samples=4_000, batch_size=4)
    assert plain.variance == pytest.approx(0.06125, abs=1e-12)
    assert plain.snr == pytest.approx(0.005 / (0.06125 * 4), abs=1e-12)
    assert plain.steps == pytest.approx(4) and plain.samples == 4_000
    assert plain.exact[:2].tolist() == pytest.approx([0.05, -0.05])
    assert twice.variance == pytest.approx(4 * 0.06125, abs=1e-12)
    assert twice.bias == pytest.approx(0.05 * math.sqrt(2), abs=1e-12)
    assert twice.z == pytest.approx(0.05 / math.sqrt(4 * 0.06125 / 2 / 1000), abs=1e-9)
    assert twice.cosine == pytest.approx(1) and not twice.unbiased


@pytest.mark.parametrize("enumerate_all", [True, False])
def test_every_number_is_finite_where_there_is_no_gradient_or_no_chance(enumerate_all):
    """Rewards of 0: everything is 0. One action: ∇ ln π is 0. Rewards that do not depend on the action: ∇J is 0."""
    silent = replace(SHORT, mdp=TabularMDP(EPISODES.transitions, np.zeros((3, 2)), EPISODES.initial, terminal=[2]))
    single = Problem(TabularMDP([[[1.0]]], [[1.0]], [1.0]), horizon=2)
    same = Problem(bernoulli_bandit((0.5, 0.5)))
    for problem in (silent, single, same):
        instrument = Instrument(problem, tabular(problem), samples=400, enumerate_all=enumerate_all)
        for estimator in estimators_of(problem):
            row = instrument.measure(estimator).row()
            assert all(math.isfinite(v) for v in row.values() if not isinstance(v, str)), row
            assert row["z"] < 4 or not row["unbiased"]


def test_an_estimate_without_spread_has_a_bounded_ratio():
    problem = PROBLEMS["bandit"]
    constant = from_psi("exact", lambda s, r: s.solution.advantages[r.observations, r.actions] * 0 + 1e-30)
    assert measure(constant, problem, tabular(problem)).snr == 0
    none = Problem(TabularMDP(np.ones((1, 1, 1)), [[1.0]], [1.0]), horizon=1)
    assert measure(named(none, "whole return"), none, tabular(none)).snr == 0


def test_the_optimal_constant_is_optimal():
    """Of all constants; and it is E[‖g‖² G] / E[‖g‖²], here over four outcomes of a bandit."""
    problem = Problem(bernoulli_bandit((0.9, 0.2)))
    policy = tabular(problem)
    pi = probabilities(policy)[0]
    squares = ((np.eye(2) - pi) ** 2).sum(1)
    best = (pi * squares * (0.9, 0.2)).sum() / (pi * squares).sum()

    def variance(constant):
        shifted = from_psi("shifted", lambda s, r: r.rewards - constant)
        return measure(shifted, problem, policy).variance

    optimal = measure(named(problem, "return − optimal constant"), problem, policy).variance
    assert optimal == pytest.approx(variance(best), abs=1e-12)
    assert optimal < variance(best - 0.05) and optimal < variance(best + 0.05)
    assert optimal < measure(named(problem, "whole return"), problem, policy).variance


def test_the_optimal_constant_of_episodes_beats_other_constants():
    policy = tabular(SHORT)
    optimal = measure(named(SHORT, "return − optimal constant"), SHORT, policy).variance
    value = float(Setting.of(SHORT, log_table(policy, SHORT)).solution.objective)

    def whole(shift):
        def psi(setting, rollout):
            returns = (SHORT.discount ** rollout.times.double() * rollout.rewards).sum(0)
            return (returns - shift).expand_as(rollout.rewards)

        return measure(from_psi("shifted", psi), SHORT, policy).variance

    assert all(optimal <= whole(shift) for shift in (0.0, value, value - 1, value + 1, 2 * value))


def test_less_is_left_to_chance_the_more_is_known():
    """The spread falls from the whole return to reward-to-go, to one less V, to the exact advantage."""
    instrument = Instrument(SHORT, tabular(SHORT))
    order = ("whole return", "reward-to-go", "reward-to-go − exact V", "exact advantage")
    variances = [instrument.measure(named(SHORT, name)).variance for name in order]
    assert variances == sorted(variances, reverse=True)


# -- how it measures ---------------------------------------------------------------------------------------------------
def test_an_estimate_of_a_batch_is_the_mean_of_its_columns_if_it_says_so():
    for problem in (SHORT, PROBLEMS["gain"]):
        setting = Setting.of(problem, log_table(tabular(problem), problem))
        rollout = sample_paths(problem, setting.table, setting.solution.start, 3, seed=4)
        for estimator in estimators_of(problem):
            learner = estimator.make(setting)
            alone = torch.stack([learner(columns_of(rollout, torch.tensor([b]))) for b in range(3)]).mean(0)
            equal = torch.allclose(learner(rollout), alone, rtol=0, atol=1e-12)
            assert equal == estimator.separable, estimator.name


def test_the_vectorised_estimates_are_those_of_single_calls():
    policy = tabular(SHORT)
    instrument = Instrument(SHORT, policy, enumerate_all=False, samples=40)
    for estimator in estimators_of(SHORT):
        learner = estimator.make(instrument.setting)
        batches = [columns_of(instrument.drawn, columns) for columns in torch.arange(40).split(4)]
        called = torch.stack([learner(batch) for batch in batches]) @ instrument.jacobian
        torch.testing.assert_close(instrument._of_batches(learner, batches), called, rtol=0, atol=1e-12)
        if estimator.separable:
            columns = instrument._of_columns(learner, instrument.drawn).reshape(10, 4, -1).mean(1)
            torch.testing.assert_close(columns, called, rtol=0, atol=1e-12)


def test_the_chain_rule_gives_what_a_network_gets_from_the_agent():
    torch.manual_seed(0)
    env = make("pg/ContextualBandit-v0")
    space = type(env.observation_space)(SHORT.mdp.num_states)
    policy = MLPPolicy(space, type(space)(2), hidden=(6,)).double()
    for parameter in policy.parameters():
        torch.nn.init.normal_(parameter)
    setting = Setting.of(SHORT, log_table(policy, SHORT))
    rollout = sample_paths(SHORT, setting.table, setting.solution.start, 5, seed=0)
    seen = replace(rollout, observations=rollout.observations % 3)
    agent = Reinforce(policy=policy, discount=SHORT.discount, signal="discounted-reward-to-go")
    gradient = -gradient_of(agent(agent.prepared(seen)[0])[0], policy)
    learner = named(SHORT, "reward-to-go").make(setting)
    torch.testing.assert_close(learner(rollout) @ jacobian(SHORT, policy), gradient, rtol=0, atol=1e-12)


def test_an_agent_in_the_real_environment_follows_the_exact_gradient():
    """2,000 batches of four episodes by environment, stream and collector: within four standard errors."""
    policy = tabular(SHORT)
    agent = Reinforce(policy=policy, discount=SHORT.discount, signal="discounted-reward-to-go")
    env = MDPVectorEnv(EPISODES, 200, max_episode_steps=SHORT.horizon)
    collector = collect_episodes(env, policy, seed=3)
    estimates = torch.stack([-gradient_of(agent(agent.prepared(next(collector))[0])[0], policy) for _ in range(200)])
    errors = estimates.std(0) / math.sqrt(200)
    exact = exact_gradient(SHORT, policy)
    seen = exact != 0
    assert seen.sum() == 4
    assert float(((estimates.mean(0) - exact)[seen] / errors[seen]).abs().max()) < 4


def test_the_group_of_an_enumerated_batch_is_the_batch():
    policy = tabular(TINY)
    setting = Setting.of(TINY, log_table(policy, TINY))
    seen = []

    def psi(setting, rollout):
        seen.append(rollout.group_ids.tolist())
        return group_standardize(rollout.rewards.sum(0), rollout.group_ids).expand_as(rollout.rewards)

    Instrument(TINY, policy, batch_size=2).measure(from_psi("group", psi, always, separable=False))
    assert set(map(tuple, seen)) == {(0, 0)}
    assert setting.earlier.mask.any()


@pytest.mark.parametrize(("options", "message"), [({"batch_size": 1}, "batch_size must be"), ({"samples": 39}, "40")])
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Instrument(SHORT, tabular(SHORT), **options)


def test_measurements_have_a_row_of_plain_numbers():
    measured = measure(named(SHORT, "exact Q"), SHORT, tabular(SHORT))
    row = measured.row()
    assert set(row) == {f.name for f in fields(measured)} - {"expected", "exact"}
    assert all(type(value) in (bool, int, float, str) for value in row.values())
