"""Trajectories: all of them by hand, samples by their frequencies."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from pg_envs import TabularMDP
from support.exactly import (
    EPISODES,
    PROBLEMS,
    SHORT,
    named,
    probabilities,
    tabular,
)

from pg_agents.gradients.estimators import Setting
from pg_agents.gradients.exact import log_table
from pg_agents.gradients.instrument import measure
from pg_agents.gradients.paths import columns_of, count_paths, enumerate_paths, sample_paths
from pg_agents.gradients.problem import Problem


def test_samples_follow_the_policy_and_the_process():
    """Frequencies of states over time, and of actions, within four standard errors of 20,000 episodes."""
    policy = tabular(SHORT)
    setting = Setting.of(SHORT, log_table(policy, SHORT))
    rollout = sample_paths(SHORT, setting.table, setting.solution.start, 20_000, seed=0)
    states, pi = rollout.observations % 3, probabilities(policy)
    chain = np.einsum("sa,san->sn", pi, EPISODES.transitions)
    expected = EPISODES.initial
    for t in range(3):
        for state in range(2):
            share = float((rollout.mask[t] & (states[t] == state)).double().mean())
            assert abs(share - expected[state]) < 4 * math.sqrt(expected[state] / 20_000)
        here = rollout.mask[t] & (states[t] == 0)
        taken = float((rollout.actions[t][here] == 1).double().mean())
        assert abs(taken - pi[0, 1]) < 4 * 0.5 / math.sqrt(int(here.sum()))
        expected = expected @ chain * [1, 1, 0]
    again = sample_paths(SHORT, setting.table, setting.solution.start, 20_000, seed=0)
    assert all(torch.equal(getattr(rollout, f), getattr(again, f)) for f in ("actions", "rewards", "observations"))


def test_enumerated_trajectories_by_hand():
    """From one state: action 0 ends; action 1 comes back, and the limit of 2 ends it: 3 trajectories, 1 + 2."""
    mdp = TabularMDP([[[0, 1], [1, 0]], [[0, 1], [0, 1]]], [[5, 7], [0, 0]], [1, 0], terminal=[1])
    problem = Problem(mdp, discount=0.5, horizon=2)
    assert count_paths(problem) == 3
    rollout = enumerate_paths(problem, mdp.initial).rollout
    columns = {tuple(zip(*map(list, (rollout.actions[:, b][m].tolist(), rollout.rewards[:, b][m].tolist(),
               rollout.observations[:, b][m].tolist(), rollout.terminated[:, b][m].tolist())), strict=True))
               for b, m in enumerate(rollout.mask.T)}  # fmt: skip
    end = [(0, 5.0, 2, True), (1, 7.0, 2, True)]
    assert columns == {((0, 5.0, 0, True),), *(((1, 7.0, 0, False), last) for last in end)}
    assert not rollout.truncated.any() and len(rollout.final_rows) == 0


def test_windows_of_a_process_without_end_are_cut_and_know_what_follows():
    problem = PROBLEMS["gain"]
    paths = enumerate_paths(problem, np.ones(2) / 2)
    rollout = paths.rollout
    assert rollout.mask.all() and rollout.truncated[-1].all() and not rollout.truncated[:-1].any()
    assert not rollout.terminated.any()
    assert rollout.mask.shape == (3, 2 * 4**3) and len(rollout.final_observations) == 128
    taken = problem.mdp.transitions[
        rollout.observations[-1][rollout.final_rows[:, 1]], rollout.actions[-1][rollout.final_rows[:, 1]]
    ]
    assert (taken[np.arange(128), rollout.final_observations] > 0).all()


def test_columns_are_chosen_with_what_followed_them():
    problem = PROBLEMS["gain"]
    rollout = enumerate_paths(problem, np.ones(2) / 2).rollout
    chosen = columns_of(rollout, torch.tensor([5, 9, 5]))
    assert torch.equal(chosen.rewards, rollout.rewards[:, [5, 9, 5]])
    final = {int(b): int(s) for (_, b), s in zip(rollout.final_rows, rollout.final_observations, strict=True)}
    found = {int(b): int(s) for (_, b), s in zip(chosen.final_rows, chosen.final_observations, strict=True)}
    assert found == {0: final[5], 1: final[9], 2: final[5]}


def test_too_many_trajectories_are_not_enumerated():
    problem = replace(SHORT, horizon=12)
    with pytest.raises(ValueError, match=r"horizon: there are .*e\+0\d trajectories, too many.*shorter horizon"):
        enumerate_paths(problem, problem.mdp.initial)
    assert not measure(named(problem, "exact Q"), problem, tabular(problem), samples=100).enumerated


def test_endless_trajectories_are_infinitely_many():
    assert count_paths(replace(SHORT, horizon=None)) == math.inf


def test_episodes_that_do_not_end_cannot_be_sampled(monkeypatch):
    monkeypatch.setattr("pg_agents.gradients.paths.MAX_STEPS", 5)
    problem = replace(SHORT, horizon=None)
    with pytest.raises(ValueError, match="not ended after 5 steps; give a horizon"):
        measure(named(problem, "exact Q"), problem, tabular(problem))
