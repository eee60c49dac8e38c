"""A step on vectors is the step on the parameters they are made of."""

from copy import deepcopy

import gymnasium as gym
import pytest
import torch
from torch import nn

import pg_agents as pg
from pg_agents.agents import optimizers
from pg_agents.agents.optimizers import OPTIMIZERS, Descent, make_descent

torch.set_num_threads(1)
EXACT = {"rtol": 1e-5, "atol": 1e-7}


def networks(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)), nn.Linear(3, 1)


def losses(policy, critic):
    """Yield losses whose gradients are shorter than 0.5 at times and longer at others."""
    for i in range(8):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(i))
        yield [0.05, 3.0][i % 2] * (policy(x).square().sum() + (critic(x) - i).square().sum())


@pytest.mark.parametrize("large", [optimizers.LARGE, 0], ids=["vectors", "as they are"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_torch_on_single_parameters(name, large, monkeypatch):
    monkeypatch.setattr(optimizers, "LARGE", large)
    mine, theirs = networks(), networks()
    descent = make_descent(name, *mine, together=False)
    assert len(descent.vectors) == (2 if large else 6)
    optimizer = OPTIMIZERS[name]([{"params": module.parameters()} for module in theirs], lr=1.0)
    descent.set_learning_rates((0.01, 0.03))
    for group, rate in zip(optimizer.param_groups, (0.01, 0.03), strict=True):
        group["lr"] = rate
    clipped = []
    for loss, other in zip(losses(*mine), losses(*theirs), strict=True):
        optimizer.zero_grad()
        other.backward()
        parameters = [parameter for module in theirs for parameter in module.parameters()]
        norm = nn.utils.clip_grad_norm_(parameters, 0.5)
        optimizer.step()
        assert descent.step(loss, 0.5) == pytest.approx(float(norm), rel=1e-5)
        clipped.append(bool(norm > 0.5))
        for module, same in zip(mine, theirs, strict=True):
            for one, two in zip(module.parameters(), same.parameters(), strict=True):
                torch.testing.assert_close(one, two, **EXACT)
    assert any(clipped) and not all(clipped)


def test_shared_parameters_are_the_policy_s():
    policy, critic = networks()
    both = nn.Sequential(policy[0], critic)
    assert make_descent("sgd", policy, both, together=False).groups == [
        list(policy.parameters()),
        list(critic.parameters()),
    ]
    assert make_descent("sgd", policy, policy[0], together=False).groups == [list(policy.parameters())]


def test_frozen_parameters_stay_and_learn_once_they_are_not():
    policy, critic = networks()
    policy[0].requires_grad_(False)
    before = deepcopy(policy[0].state_dict())
    descent = make_descent("adam", policy, critic, together=True)
    for loss in losses(policy, critic):
        descent.step(loss, None)
    assert all(torch.equal(value, before[name]) for name, value in policy[0].state_dict().items())
    policy[0].requires_grad_(True)
    descent.gather()
    for loss in losses(policy, critic):
        descent.step(loss, None)
    assert not torch.equal(policy[0].weight, before["weight"])


@pytest.mark.parametrize("move", [lambda agent: agent.double(), deepcopy], ids=["double", "deepcopy"])
def test_an_agent_whose_parameters_moved_learns_on_with_the_moments_it_had(move):
    env = gym.make_vec("CartPole-v1", 4, vectorization_mode="sync")
    agents = [pg.PPO.for_env(env, num_steps=16, minibatch_size=32, epochs=2) for _ in range(2)]
    collector = pg.collect_steps(env, agents[0].policy, 16)
    rollout = next(collector)
    for agent in agents:
        agent.update(rollout)
    moved = move(agents[1])
    for agent in (agents[0], moved):
        agent.update(rollout)
    for one, two in zip(agents[0].parameters(), moved.parameters(), strict=True):
        torch.testing.assert_close(one, two.float(), rtol=0, atol=1e-5)
    assert {int(state["step"]) for state in moved.descent.optimizer.state.values()} == {8}


def test_a_step_shows_in_the_versions_of_the_parameters():
    """A transformer's cache goes by them."""
    policy, critic = networks()
    descent = make_descent("adam", policy, critic, together=True)
    before = [parameter._version for parameter in policy.parameters()]
    descent.step(next(losses(policy, critic)), None)
    assert all(parameter._version > old for parameter, old in zip(policy.parameters(), before, strict=True))


def test_a_transformer_acts_after_an_update_as_it_learns():
    env = gym.make_vec("pg_envs:pg/Copy-v0", 8)
    agent = pg.Reinforce.for_env(env, learning_rate=0.05)
    collector = pg.collect_episodes(env, agent.policy)
    for _ in range(3):
        rollout = next(collector)
        with torch.no_grad():
            log_probs = agent.policy(rollout.observations).log_prob(rollout.actions)
        torch.testing.assert_close(log_probs[rollout.mask], rollout.log_probs[rollout.mask], rtol=0, atol=1e-4)
        agent.update(rollout)


def test_parameters_of_two_dtypes_stay_as_they_are():
    module = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2).double()])
    descent = Descent("adam", [module.parameters()])
    assert len(descent.vectors) == 4
    loss = module[0](torch.ones(2)).sum() + module[1](torch.ones(2).double()).sum()
    assert descent.step(loss, None) == pytest.approx(12**0.5)  # 12 entries, each 1
