"""What is looked at of the gradient while agents learn."""

import json
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
import torch
from pg_envs import MDPVectorEnv, TabularMDP, solve
from support.exactly import EPISODES, SHORT, make, tabular

import pg_agents as pg
from pg_agents.gradients import against_exact, exact_gradient, gradient_noise, optimum, problem_of
from pg_agents.gradients.exact import gradient_of
from pg_agents.gradients.problem import Problem


def collected(agent, envs, seed=0, mdp=EPISODES):
    return next(pg.collect_episodes(MDPVectorEnv(mdp, envs, max_episode_steps=3), agent.policy, seed=seed))


def now(agent, rollout):
    """Return as much of a run as the probes look at."""
    return SimpleNamespace(agent=agent, rollout=rollout)


def step(agent, rollout):
    batch, _ = agent.prepared(rollout)
    return -gradient_of(agent(batch)[0], agent.policy)


def test_the_noise_of_a_gradient_by_the_gradients_of_each_environment():
    agent = pg.Reinforce(policy=tabular(SHORT), discount=0.8)
    env = MDPVectorEnv(EPISODES, 5, max_episode_steps=3)
    rollout = next(pg.collect_episodes(env, agent.policy, seed=1))
    alone = []
    for b in range(5):
        mine = replace(rollout, mask=rollout.mask & (torch.arange(5) == b))
        alone.append(step(agent, mine) / 5)  # its mean over one episode is five times its share of five
    each = torch.stack(alone)
    total = step(agent, rollout)
    torch.testing.assert_close(each.sum(0), total)
    covariance = 5 * each.T.cov().trace()  # of a sum of five
    found = gradient_noise(now(agent, rollout))
    assert found["gradient/snr"] == pytest.approx(float(total.square().sum() / covariance))
    lengths = each.norm(dim=1)
    assert found["gradient/effective_samples"] == pytest.approx(float(lengths.sum() ** 2 / lengths.square().sum()))
    assert 1 < found["gradient/effective_samples"] < 5


@pytest.mark.slow
def test_the_signal_to_noise_ratio_is_that_of_many_updates():
    """‖E ĝ‖²/tr Cov(ĝ) of 400 updates; a single one's ratio is larger by 1 on average, as ‖ĝ‖² holds the noise too."""
    agent = pg.Reinforce(policy=tabular(SHORT), discount=0.8)
    collector = pg.collect_episodes(MDPVectorEnv(EPISODES, 16, max_episode_steps=3), agent.policy, seed=2)
    updates, ratios = [], []
    for _ in range(400):
        rollout = next(collector)
        updates.append(step(agent, rollout))
        ratios.append(gradient_noise(now(agent, rollout))["gradient/snr"])
    updates = torch.stack(updates)
    truth = float(updates.mean(0).square().sum() / updates.T.cov().trace())
    assert np.mean(ratios) - 1 == pytest.approx(truth, rel=0.25)


def test_equal_environments_have_no_noise_and_count_in_full():
    """One way to go and one reward; a policy whose two actions do the same: only the actions differ, and here not."""
    mdp = TabularMDP([[[0, 1], [0, 1]], [[0, 1], [0, 1]]], [[2, 0], [0, 0]], [1, 0], terminal=[1])
    agent = pg.Reinforce(policy=tabular(Problem(mdp)))
    rollout = collected(agent, 4, mdp=mdp)
    same = replace(rollout, actions=torch.zeros_like(rollout.actions), rewards=torch.full_like(rollout.rewards, 2.0))
    found = gradient_noise(now(agent, same))
    assert found["gradient/snr"] > 1e9 and found["gradient/effective_samples"] == pytest.approx(4)
    one = same.rewards.clone()
    one[:, 1:] = 0
    assert gradient_noise(now(agent, replace(same, rewards=one)))["gradient/effective_samples"] == pytest.approx(1)
    nothing = gradient_noise(now(agent, replace(same, rewards=torch.zeros_like(one))))
    assert nothing == {"gradient/snr": 0.0, "gradient/effective_samples": 0.0}


def test_many_environments_are_taken_in_groups():
    agent = pg.Reinforce(policy=tabular(SHORT))
    found = gradient_noise(now(agent, collected(agent, 40)), groups=4)
    assert 1 <= found["gradient/effective_samples"] <= 4
    assert gradient_noise(now(agent, collected(agent, 1))) == {}
    several = pg.Reinforce.for_env(MDPVectorEnv(EPISODES, 3, max_episode_steps=3), num_learners=3)
    assert gradient_noise(now(several, collected(several, 3))) == {}


def test_looking_changes_nothing():
    """Running averages, reward scales, parameters, optimizer and gradients are as they were."""
    agent = pg.ReinforceBaseline(policy=tabular(SHORT), baseline="running-average", normalize_rewards=True)
    rollout = collected(agent, 4)
    agent.update(rollout)
    before, accumulated = deepcopy(agent.state_dict()), agent.reward_scale.accumulated.clone()
    gradient = agent.policy.logits.grad.clone()
    probe = against_exact(SHORT)
    seen = [(gradient_noise(now(agent, rollout)), probe(now(agent, rollout))) for _ in range(2)]
    assert seen[0] == seen[1]
    assert all(torch.equal(value, agent.state_dict()[name]) for name, value in before.items())
    assert torch.equal(agent.reward_scale.accumulated, accumulated) and torch.equal(agent.policy.logits.grad, gradient)


def test_an_agent_is_held_against_the_truth():
    agent = pg.Reinforce(policy=tabular(SHORT), discount=0.8, signal="discounted-reward-to-go")
    rollout = collected(agent, 64)
    found = against_exact(SHORT)(now(agent, rollout))
    exact, mine = exact_gradient(SHORT, agent.policy), step(agent, rollout)
    assert found["exact/cosine"] == pytest.approx(float(torch.nn.functional.cosine_similarity(exact, mine, dim=0)))
    value = solve.expected_return(EPISODES, 3, agent.policy.probabilities()[0].numpy(), 0.8)
    best = solve.expected_return(EPISODES, 3, None, 0.8)
    assert found["exact/value"] == pytest.approx(value) and found["exact/regret"] == pytest.approx(best - value)
    silent = replace(rollout, rewards=torch.zeros_like(rollout.rewards))
    assert against_exact(SHORT)(now(agent, silent))["exact/cosine"] == 0


def test_the_optimum_of_each_objective():
    """A bandit's best arm; the two states' 0.9; GridWorld's value with 100 steps; the discounted chain."""
    assert optimum(problem_of(make("pg/TwoArmedBandit-v0"))) == pytest.approx(0.6)
    assert optimum(problem_of(make("pg/TwoStateMDP-v0"))) == pytest.approx(0.9)
    grid = problem_of(make("pg/GridWorld-v0"))
    assert optimum(grid) == pytest.approx(solve.expected_return(grid.mdp, 100))
    always_one = Problem(TabularMDP([[[1.0]]], [[1.0]], [1.0]), discount=0.75)
    assert optimum(always_one) == pytest.approx(4)


def test_a_run_logs_both_and_draws_near_to_the_optimum(tmp_path):
    env = gym.make_vec("pg/ContextualBandit-v0", 16)
    agent = pg.Reinforce.for_env(env, learning_rate=0.1)
    problem = problem_of(make("pg/ContextualBandit-v0"))
    probes = [gradient_noise, against_exact(problem)]
    pg.train(agent, env, total_steps=8_000, run_dir=tmp_path / "run", progress=False, probes=probes, log_every=80)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["exact/regret"] > 0.2 > 0.1 > rows[-1]["exact/regret"] >= 0
    assert rows[-1]["exact/value"] + rows[-1]["exact/regret"] == pytest.approx(0.9)
    assert np.mean([row["exact/cosine"] for row in rows]) > 0.2
    assert all(row["gradient/snr"] >= 0 and 0 < row["gradient/effective_samples"] <= 16 for row in rows)


@pytest.mark.parametrize("name", sorted(pg.AGENTS))
def test_every_agent_can_be_looked_at(name):
    env = gym.make_vec("pg/TwoStateMDP-v0" if pg.AGENTS[name].continuing else "pg/GridWorld-v0", 4)
    agent = pg.AGENTS[name].for_env(env)
    seen = []
    pg.train(agent, env, total_steps=40, progress=False, probes=[lambda run: seen.append(gradient_noise(run))])
    assert seen
    for found in seen:
        assert set(found) in ({"gradient/snr", "gradient/effective_samples"}, set())
        assert all(np.isfinite(value) for value in found.values())
