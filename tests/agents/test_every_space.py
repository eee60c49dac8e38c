"""Environments with every kind of space: collected from in every mode, learned from, evaluated, saved and loaded."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from support.any_space import ACTIONS, OBSERVATIONS, Anything
from support.bugs import Bug, seeded

import pg_agents as pg
from pg_agents.collection.actor import Actor
from pg_agents.data.tree import tree_leaves

MODES = list(AutoresetMode)


def anything(observation, action, mode=AutoresetMode.NEXT_STEP, num_envs=2):
    spaces = OBSERVATIONS[observation], ACTIONS[action]
    make = lambda: gym.wrappers.TimeLimit(Anything(*map(copy, spaces)), 4)  # noqa: E731
    return SyncVectorEnv([make] * num_envs, autoreset_mode=mode)


def copy(space):
    """Return a space of its own for each environment: they draw from them."""
    return pg.spaces.conversion.space_from_json(pg.spaces.conversion.space_to_json(space))


def same(first, second):
    return all(torch.equal(mine, theirs) for mine, theirs in zip(first, second, strict=True))


COMBINATIONS = [(observation, "discrete") for observation in OBSERVATIONS] + [("matrix", action) for action in ACTIONS]


@pytest.mark.parametrize(("observation", "action"), COMBINATIONS)
def test_agents_learn_from_it_and_survive_a_file(tmp_path, observation, action):
    """The log-probabilities recorded are those of the policy, updates are finite, a loaded agent acts to the bit."""
    env = anything(observation, action)
    agent = pg.PPO.for_env(env, seed=0, num_steps=16, minibatch_size=16)
    rollout = next(pg.collect_steps(env, agent.policy, 16, seed=0))
    with torch.no_grad():
        again = agent.policy(rollout.observations).log_prob(rollout.actions)
    torch.testing.assert_close(again, rollout.log_probs, rtol=0, atol=1e-4)
    before = [parameter.clone() for parameter in agent.parameters()]
    pg.train(agent, env, total_steps=64, seed=0, progress=False)
    assert all(torch.isfinite(parameter).all() for parameter in agent.parameters())
    assert not same(before, agent.parameters())
    agent.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent")
    assert loaded.spaces == agent.spaces and same(agent.state_dict().values(), loaded.state_dict().values())
    shown = OBSERVATIONS[observation]
    shown.seed(0)
    for greedy in (False, True):
        seen = shown.sample()
        mine, theirs = (
            one.act(seen, greedy=greedy, generator=torch.Generator().manual_seed(1))[0] for one in (agent, loaded)
        )
        assert env.single_action_space.contains(mine) and np.array_equal(mine, theirs)
    assert pg.evaluate(agent, env, episodes=3).returns == pg.evaluate(loaded, env, episodes=3).returns


@pytest.mark.slow
@pytest.mark.parametrize("name", ["actor-critic", "reinforce-baseline", "trpo", "a2c"])
@pytest.mark.parametrize("action", list(ACTIONS))
def test_agents_of_every_kind_take_every_action_space(name, action):
    env = anything("tuple", action)
    agent = pg.AGENTS[name].for_env(env, seed=0)
    pg.train(agent, env, total_steps=64, seed=0, progress=False)
    assert all(torch.isfinite(parameter).all() for parameter in agent.parameters())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("observation", ["tuple", "nested", "image"])
def test_observations_of_every_mode_are_those_that_were_shown(mode, observation):
    """Each transition's next observation is the next one seen, or the true last: the modes agree to the bit."""
    lived = {}
    for current in (mode, AutoresetMode.DISABLED):
        adapter = pg.collection.env_adapter.EnvAdapter(anything(observation, "discrete", current), 5)
        rows = [[] for _ in range(2)]
        for _ in range(20):
            seen = adapter.observation
            before = [[np.array(leaf[b]) for leaf in tree_leaves(seen)] for b in range(2)]
            step = adapter.step(np.array([4, 5]))
            for b in np.flatnonzero(step.valid):
                after = [np.array(leaf[b]) for leaf in tree_leaves(step.final)]
                rows[b].append((before[b], after, bool(step.terminated[b]), bool(step.truncated[b])))
        lived[current] = rows
    for mine, theirs in zip(lived[mode], lived[AutoresetMode.DISABLED], strict=True):
        for (b1, a1, *f1), (b2, a2, *f2) in zip(mine, theirs, strict=False):
            assert f1 == f2 and all(map(np.array_equal, b1 + a1, b2 + a2))
        assert sum(row[3] for row in mine) + sum(row[2] for row in mine) > 2


@pytest.mark.parametrize("observation", ["matrix", "nested"])
def test_squashed_actions_stay_inside_and_are_learned(tmp_path, observation):
    """Recorded is u before the tanh; what the environment gets lies in its box without being clipped."""
    env = anything(observation, "box")
    agent = pg.PPO.for_env(env, seed=0, num_steps=16, minibatch_size=16, squash=True, initial_log_std=1.0)
    rollout = next(pg.collect_steps(env, agent.policy, 16, seed=0))
    unscale_action = agent.policy.unscale_action(rollout.actions)
    assert (
        float(rollout.actions.abs().max()) > 2 and float(unscale_action.min()) > -2 and float(unscale_action.max()) < 1
    )
    pg.train(agent, env, total_steps=64, seed=0, progress=False)
    agent.save(tmp_path / "agent")
    loaded = pg.load(tmp_path / "agent")
    assert loaded.networks["squash"] and pg.evaluate(agent, env, episodes=3) == pg.evaluate(loaded, env, episodes=3)
    seen = OBSERVATIONS[observation].sample()
    with torch.no_grad():
        for parameter in agent.policy.network.parameters():
            parameter += 30.0
    action = agent.act(seen, greedy=True)[0]
    assert action.tolist() == [1, 1]  # at the bound, where tanh rounds to 1


@pytest.mark.slow
def test_a_squashed_policy_finds_a_point_inside_its_box():
    """Reward −(a − 0.5)² over −2 … 1: the greedy action comes near 0.5, from −0.5 where it starts."""

    class Point(gym.Env):
        observation_space, action_space = Box(0, 1, (1,)), Box(-2, 1, (1,))

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return np.zeros(1, np.float32), {}

        def step(self, action):
            return np.zeros(1, np.float32), -float((action[0] - 0.5) ** 2), True, False, {}

    env = SyncVectorEnv([Point] * 16, autoreset_mode=AutoresetMode.SAME_STEP)
    rates = {"learning_rate": 0.003, "critic_learning_rate": 0.03, "normalize_advantages": True}
    agent = pg.ActorCritic.for_env(env, seed=0, squash=True, initial_log_std=-0.5, **rates)
    seen = np.zeros(1, np.float32)
    assert agent.act(seen, greedy=True)[0][0] == pytest.approx(-0.5, abs=0.05)
    pg.train(agent, env, total_steps=16 * 400, seed=0, progress=False)
    assert agent.act(seen, greedy=True)[0][0] == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize(
    ("action", "squash"),
    [(action, False) for action in ACTIONS] + [(action, True) for action in ("box", "box-2d", "whole-box")],
)
def test_going_up_the_gradient_of_the_entropy_makes_policies_more_random(action, squash):
    """From a start that prefers some action (or is narrow) towards the entropy's maximum, where it has one."""
    space = ACTIONS[action]
    options = {"squash": squash, "initial_log_std": -1.5} if isinstance(space, Box) else {}
    policy = pg.ActorCritic.for_spaces(OBSERVATIONS["matrix"], space, seed=0, **options).policy
    if not options:
        policy.network[-1].bias.data[0] = 3.0
    seen = torch.rand(16, 2, 3, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(policy.parameters(), 0.03)
    before = float(policy(seen).entropy().mean().detach())
    for _ in range(60):
        optimizer.zero_grad()
        (-policy(seen).entropy().mean()).backward()
        optimizer.step()
    after = float(policy(seen).entropy().mean().detach())
    assert after > before + 0.2
    if not options:  # uniform: ln of the number of actions
        sizes = {"discrete": 3, "multi": 6, "multi-2d": 16, "bits": 8, "bits-2d": 16}
        assert after == pytest.approx(np.log(sizes[action]), abs=0.02)
    elif squash:  # no density in a box is wider than the uniform one, ln of its volume
        assert after < np.log(np.prod(space.high.astype(float) - space.low))


def acts_before_the_tanh(actor, right=Actor.act, **options):
    actor.policy.unscale_action = lambda actions: actions
    taken = right(actor, **options)
    del actor.policy.unscale_action
    return taken


test_seeded_bugs = seeded(
    Bug(
        "a squashed action reaches the environment before its tanh",
        Actor.act,
        acts_before_the_tanh,
        [test_a_squashed_policy_finds_a_point_inside_its_box],
    )
)
