"""A step on vectors is the step on the parameters they are made of."""

from copy import deepcopy

import gymnasium as gym
import pytest
import torch
from support.bugs import Bug, seeded, with_arguments
from torch import nn

import pg_agents as pg
from pg_agents._fast import flat_vectors
from pg_agents.agents.common.flat_optimizer import OPTIMIZERS, FlatOptimizer

EXACT = {"rtol": 1e-5, "atol": 1e-7}


def networks(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2)), nn.Linear(3, 1)


def losses(policy, critic):
    """Yield losses whose gradients are shorter than 0.5 at times and longer at others."""
    for i in range(8):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(i))
        yield [0.05, 3.0][i % 2] * (policy(x).square().sum() + (critic(x) - i).square().sum())


@pytest.mark.parametrize("large", [flat_vectors.LARGE, 0], ids=["vectors", "as they are"])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_torch_on_single_parameters(name, large, monkeypatch):
    monkeypatch.setattr(flat_vectors, "LARGE", large)
    mine, theirs = networks(), networks()
    descent = FlatOptimizer(name, *mine)
    assert len(descent.members) == (2 if large else 6)
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
    kept = [parameter.grad is not None for module in mine for parameter in module.parameters()]
    assert all(kept) if large else not any(kept)  # large gradients are let go of


def test_the_first_step_of_adam_by_hand():
    """m̂ = g and v̂ = g², whatever their decay: α g / (|g| + ε)."""
    module = nn.Linear(2, 1, bias=False)
    before, gradient = module.weight.detach().clone(), torch.tensor([[0.5, -2.0]])
    for epsilon, factors in ((1e-8, (1.0, 1.0)), (0.5, (0.5, 0.8))):
        module.weight.data = before.clone()
        descent = FlatOptimizer("adam", module, epsilon=epsilon)
        descent.set_learning_rates([0.1])
        descent.step((gradient * module.weight).sum(), None)
        torch.testing.assert_close(before - module.weight, 0.1 * gradient.sign() * torch.tensor([factors]), **EXACT)


@pytest.mark.parametrize("name", pg.AGENTS)
def test_the_epsilon_of_adam_is_an_argument_of_every_agent(name):
    env = gym.make_vec("pg/TwoStateMDP-v0", 2) if pg.AGENTS[name].continuing else gym.make_vec("pg/Chain-v0", 2)
    optimizer = {"optimizer": "adam"} if "optimizer" in pg.AGENTS[name].argument_names() else {}
    for given, expected in (({}, 1e-8), ({"adam_epsilon": 1e-5}, 1e-5)):
        agent = pg.AGENTS[name].for_env(env, **optimizer, **given)
        assert agent.arguments["adam_epsilon"] == expected
        assert {group["eps"] for group in agent.flat_optimizer.optimizer.param_groups} == {expected}


@pytest.mark.parametrize("name", ["rmsprop", "sgd"])
def test_the_epsilon_of_adam_is_refused_where_there_is_no_adam(name):
    assert pg.A2C.for_env(gym.make_vec("CartPole-v1", 2), optimizer=name).adam_epsilon == 1e-8
    message = f"adam_epsilon is only for optimizer='adam', got 1e-05 with '{name}'; leave it out"
    with pytest.raises(ValueError, match=message):
        pg.A2C.for_env(gym.make_vec("CartPole-v1", 2), optimizer=name, adam_epsilon=1e-5)


def test_shared_parameters_are_the_policy_s():
    policy, critic = networks()
    both = nn.Sequential(policy[0], critic)
    assert FlatOptimizer("sgd", policy, both).groups == [
        list(policy.parameters()),
        list(critic.parameters()),
    ]
    assert FlatOptimizer("sgd", policy, policy[0]).groups == [list(policy.parameters()), []]


def test_frozen_parameters_stay_and_learn_once_they_are_not():
    policy, critic = networks()
    policy[0].requires_grad_(False)
    before = deepcopy(policy[0].state_dict())
    descent = FlatOptimizer("adam", policy, critic, together=True)
    for loss in losses(policy, critic):
        descent.step(loss, None)
    assert all(torch.equal(value, before[name]) for name, value in policy[0].state_dict().items())
    policy[0].requires_grad_(True)
    descent.refresh()
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
    assert {int(state["step"]) for state in moved.flat_optimizer.optimizer.state.values()} == {8}


def test_a_step_shows_in_the_versions_of_the_parameters():
    """A transformer's cache goes by them."""
    policy, critic = networks()
    descent = FlatOptimizer("adam", policy, critic, together=True)
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


def moved(agent, rollout):
    """Return how far each parameter moves in one update."""
    before = {name: value.detach().clone() for name, value in agent.named_parameters()}
    agent.update(rollout)
    return {name: float((value.detach() - before[name]).abs().max()) for name, value in agent.named_parameters()}


def steps_of(form, **arguments):
    env = gym.make_vec("CartPole-v1", 4, vectorization_mode="sync")
    agent = form.for_env(env, num_steps=16, **arguments)
    return agent, next(pg.collect_steps(env, agent.policy, 16))


@pytest.mark.parametrize("form", [pg.A2C, pg.PPO, pg.TRPO])
@pytest.mark.parametrize(
    "replace",
    [
        lambda agent: agent.load_state_dict({k: v.clone() for k, v in agent.state_dict().items()}, assign=True),
        lambda agent: setattr(agent.policy, "network", deepcopy(agent.policy.network)),
        lambda agent: agent.policy.network.__setitem__(2, nn.Linear(64, 2)),
        lambda agent: agent.double().float(),
        lambda agent: agent.zero_grad(),
    ],
    ids=["assigned", "another network", "another layer", "there and back", "zero_grad"],
)
def test_parameters_that_took_the_place_of_others_learn(form, replace):
    agent, rollout = steps_of(form, minibatch_size=32) if form is not pg.A2C else steps_of(form)
    agent.update(rollout)
    replace(agent)
    assert min(moved(agent, rollout).values()) > 0


def test_gradients_that_were_set_to_none_in_the_middle_of_an_update_come_back():
    agent, rollout = steps_of(pg.A2C)
    prepare = agent.prepare
    agent.prepare = lambda rollout: agent.zero_grad() or prepare(rollout)
    assert min(moved(agent, rollout).values()) > 0
    batch, _ = prepare(rollout)
    agent.double().float()
    assert agent.optimizer_step(agent(batch)[0]) > 0


def test_moments_stay_with_their_parameters():
    """The first layer alone, then the second alone, as large: it begins with moments of 0, as a new Adam has them."""
    layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    layers[1].requires_grad_(False)
    descent = FlatOptimizer("adam", layers)
    descent.set_learning_rates([0.1])
    for i in range(5):
        descent.step((layers(torch.ones(2, 4)) - i).square().sum(), None)
    first = layers[0].weight.detach().clone()
    layers[0].requires_grad_(False)
    layers[1].requires_grad_(True)
    before = layers[1].weight.detach().clone()
    descent.step(layers(torch.ones(2, 4)).square().sum(), None)
    assert torch.equal(layers[0].weight, first)
    distance = (layers[1].weight - before).abs()
    torch.testing.assert_close(distance, torch.full((4, 4), 0.1))  # Adam's first step is the sign
    layers[0].requires_grad_(True)
    descent.step(layers(torch.ones(2, 4)).square().sum(), None)
    assert sorted(int(state["step"]) for state in descent.optimizer.state.values()) == [2, 6]


def test_frozen_networks():
    agent, rollout = steps_of(pg.A2C)
    agent.requires_grad_(False)
    with pytest.raises(ValueError, match="every parameter is frozen"):
        agent.update(rollout)
    for frozen, other in (("critic", "policy"), ("policy", "critic")):
        agent, rollout = steps_of(pg.TRPO, minibatch_size=32)
        getattr(agent, frozen).requires_grad_(False)
        if frozen == "policy":
            with pytest.raises(ValueError, match="policy: every parameter is frozen"):
                agent.update(rollout)
        else:
            found = moved(agent, rollout)
            assert all((distance > 0) == name.startswith(other) for name, distance in found.items())


def test_parameters_of_two_dtypes_are_two_vectors():
    module = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2).double()])
    descent = FlatOptimizer("adam", module)
    assert len(descent.members) == 2
    loss = module[0](torch.ones(2)).sum() + module[1](torch.ones(2).double()).sum()
    assert descent.step(loss, None) == pytest.approx(12**0.5)  # 12 entries, each 1


test_seeded_bugs = seeded(
    Bug(
        "gradients are not clipped",
        FlatOptimizer.step,
        with_arguments(FlatOptimizer.step, max_norm=lambda norm: None),
        [test_steps_are_those_of_torch_on_single_parameters],
    ),
    Bug(
        "Adam has torch's ε, whatever is given",
        FlatOptimizer.__init__,
        with_arguments(FlatOptimizer.__init__, epsilon=lambda epsilon: 1e-8),
        [test_the_first_step_of_adam_by_hand, test_the_epsilon_of_adam_is_an_argument_of_every_agent],
    ),
)
