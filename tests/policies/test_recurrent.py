"""Recurrent policies learn from what they acted on: row by row, episode by episode, in every autoreset mode."""

import gymnasium as gym
import pytest
import torch
from gymnasium.vector import AutoresetMode
from support.tiny_envs import MODES, dice

import pg_agents as pg
from pg_agents.agents.common.advantages import state_values
from pg_agents.collection.collectors import collect_episodes, collect_steps
from pg_agents.data.tree import tree_map
from pg_agents.policies import GRUCritic, GRUPolicy

NAMES = [mode.name for mode in MODES]
EXACT = {"rtol": 0, "atol": 1e-6}


def gru_for(env, size=8, seed=0):
    """A policy that minds its memory from the start: its outputs have weights of the usual size."""
    torch.manual_seed(seed)
    policy = GRUPolicy(env.single_observation_space, env.single_action_space, size=size)
    torch.nn.init.orthogonal_(policy.network[-1].weight, 2.0)
    return policy, GRUCritic(policy, env.single_observation_space, hidden=(8,))


def row(tree, *index):
    return tree_map(lambda leaf: leaf[index], tree)


def stepped(policy, rollout):
    """Return the memories after each row, [T, B, H], by steps as an actor takes them, and the log-probabilities."""
    memory, memories, log_probs = rollout.memory, [], []
    for t in range(len(rollout.mask)):
        memory = policy.reset_memory(memory, rollout.episode_starts[t])
        distribution, memory = policy.step(row(rollout.observations, t), memory)
        memories.append(memory)
        log_probs.append(distribution.log_prob(rollout.actions[t]))
    return torch.stack(memories), torch.stack(log_probs)


# -- acting and learning see the same ----------------------------------------------------------------------------------
@pytest.mark.parametrize("action", ["discrete", "box"])
@pytest.mark.parametrize("observation", ["box", "nested"])
@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_a_rollout_of_steps_is_evaluated_as_it_was_acted(mode, observation, action):
    """Three rollouts that begin in the middle of episodes, which terminate, are truncated, or both."""
    env = dice(mode, observation=observation, action=action)
    policy, _ = gru_for(env)
    collector = collect_steps(env, policy, 11)
    for number in range(3):
        rollout = next(collector)
        assert (rollout.memory is None) == (number == 0)
        assert rollout.episode_starts[1:].any() and (mode is not AutoresetMode.NEXT_STEP or not rollout.mask.all())
        distribution = policy(rollout.observations, rollout.memory, rollout.episode_starts)
        torch.testing.assert_close(distribution.log_prob(rollout.actions), rollout.log_probs, **EXACT)
        memories, log_probs = stepped(policy, rollout)
        torch.testing.assert_close(log_probs, rollout.log_probs, **EXACT)
        torch.testing.assert_close(
            policy.remember(rollout.observations, rollout.memory, rollout.episode_starts), memories, **EXACT
        )
        torch.testing.assert_close(collector.actor.memory, memories[-1], **EXACT)
        assert not collector.actor.memory.requires_grad


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_a_rollout_of_episodes_is_evaluated_as_it_was_acted(mode):
    env = dice(mode, num_envs=5)
    policy, _ = gru_for(env)
    collector = collect_episodes(env, policy)
    for _ in range(3):
        rollout = next(collector)
        assert rollout.memory is None
        distribution = policy(rollout.observations, rollout.memory, rollout.episode_starts)
        log_probs = distribution.log_prob(rollout.actions)
        torch.testing.assert_close(log_probs[rollout.mask], rollout.log_probs[rollout.mask], **EXACT)


class Fixed(GRUPolicy):
    """Acts by a fixed function of the observation, so that all modes live through the same."""

    def step(self, observation, memory=None):
        distribution, memory = super().step(observation, memory)
        chosen = (observation.double() * 1000).sum(-1).round().long() % 3
        distribution.sample = lambda generator=None: chosen
        return distribution, memory


def test_modes_give_the_same_log_probs():
    lives = []
    for mode in MODES:
        env = dice(mode)
        policy, _ = gru_for(env)
        policy.__class__ = Fixed
        collector = collect_steps(env, policy, 9)
        rollouts = [next(collector) for _ in range(5)]
        lives.append([torch.cat([r.log_probs[:, b][r.mask[:, b]] for r in rollouts])[:30] for b in range(3)])
    for other in lives[1:]:
        for mine, theirs in zip(lives[0], other, strict=True):
            assert len(mine) == len(theirs) == 30
            torch.testing.assert_close(mine, theirs, **EXACT)


@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_nothing_leaks_from_one_episode_into_the_next(mode):
    """Other observations in a column's first episode, its final one included, change what follows in it and no more."""
    env = dice(mode, num_envs=4)
    policy, critic = gru_for(env)
    collector = collect_steps(env, policy, 13)
    next(collector)
    rollout = next(collector)
    episode = rollout.episode_starts.long().cumsum(0)  # 0: the one that was running
    first = episode == episode[0]
    assert (~first).any(0).all()
    changed = torch.where(first[..., None], rollout.observations + 3.0, rollout.observations)
    arguments = rollout.memory, rollout.episode_starts
    before, after = policy.remember(rollout.observations, *arguments), policy.remember(changed, *arguments)
    assert torch.equal(before[~first], after[~first])
    assert ((before - after)[first].abs().amax(-1) > 1e-3).all()
    values = critic(changed, *arguments)
    assert torch.equal(values[~first], critic(rollout.observations, *arguments)[~first])
    assert (
        (before - policy.remember(rollout.observations, None, rollout.episode_starts))[first & (episode == 0)] != 0
    ).any()


def test_gradients_through_a_rollout_are_those_of_steps():
    env = dice(AutoresetMode.NEXT_STEP)
    policy, _ = gru_for(env)
    policy.double()
    collector = collect_steps(env, policy, 17)
    next(collector)
    rollout = next(collector)
    weights = rollout.mask * torch.randn(rollout.mask.shape).double()
    at_once = policy(rollout.observations, rollout.memory, rollout.episode_starts).log_prob(rollout.actions)
    by_steps = stepped(policy, rollout)[1]
    names, parameters = zip(*policy.named_parameters(), strict=True)
    mine = torch.autograd.grad((weights * at_once).sum(), parameters)
    theirs = torch.autograd.grad((weights * by_steps).sum(), parameters)
    for name, one, other in zip(names, mine, theirs, strict=True):
        assert one.norm() > 1e-3, name
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


# -- values ------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_final_observations_are_judged_with_the_memory_after_their_rows(mode):
    env = dice(mode, ends=0.1, limit=5)
    policy, critic = gru_for(env)
    collector = collect_steps(env, policy, 12)
    next(collector)
    rollout = next(collector)
    with torch.no_grad():
        values, next_values = state_values(critic, rollout)
        memories, _ = stepped(policy, rollout)
        assert rollout.truncated.any() and len(rollout.final_rows) > 3  # some truncated, some still running
        for k, (t, b) in enumerate(rollout.final_rows.tolist()):
            seen = rollout.final_observations[k : k + 1]
            expected = critic(seen, memories[t, b : b + 1])
            torch.testing.assert_close(next_values[t, b], expected[0], **EXACT)
            assert (critic(seen) - expected).abs() > 1e-5  # a fresh memory would give something else
        inside = ~(rollout.terminated | rollout.truncated)[:-1] & rollout.mask[:-1]
        assert torch.equal(next_values[:-1][inside], values[1:][inside])


def test_the_value_after_the_last_row_is_that_of_the_next_rollout_s_first():
    env = dice(AutoresetMode.SAME_STEP, ends=0.0, limit=None)
    policy, critic = gru_for(env)
    collector = collect_steps(env, policy, 6)
    first, second = next(collector), next(collector)
    torch.testing.assert_close(state_values(critic, first)[1][-1], state_values(critic, second)[0][0], **EXACT)


def test_the_critic_reads_the_memory_and_leaves_it_alone():
    env = dice(AutoresetMode.NEXT_STEP)
    policy, critic = gru_for(env)
    rollout = next(collect_steps(env, policy, 8))
    critic(rollout.observations, rollout.memory, rollout.episode_starts).square().sum().backward()
    assert all(parameter.grad is None for parameter in policy.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in critic.parameters())
    assert not {id(p) for p in policy.parameters()} & {id(p) for p in critic.parameters()}
    agent = pg.A2C(policy=policy, critic=critic)
    held = [parameter for group in agent.flat_optimizer.groups for parameter in group]
    assert len(held) == len({id(parameter) for parameter in held}) == len(list(agent.parameters()))


# -- within agents -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", [name for name, form in pg.AGENTS.items() if not form.action_values])
@pytest.mark.parametrize("mode", MODES, ids=NAMES)
def test_every_agent_updates_a_recurrent_policy(name, mode):
    """It learns from three rollouts, and the first log-probabilities it computes are those of the policy that acted."""
    groups = {"vector_kwargs": {"autoreset_mode": mode}} if name in ("grpo", "rloo") else {}
    env = dice(mode, num_envs=4, action="discrete") if not groups else dice(mode, num_envs=4)
    short = {"num_steps": 8, "minibatch_size": 16}
    wanted = {key: value for key, value in short.items() if key in pg.AGENTS[name].argument_names()}
    agent = pg.AGENTS[name].for_env(env, recurrent=8, **wanted)
    before = {key: value.clone() for key, value in agent.policy.state_dict().items()}
    pg.train(agent, env, total_steps=100, progress=False)
    after = agent.policy.state_dict()
    assert all(torch.isfinite(value).all() for value in after.values())
    assert not torch.equal(before["gru.cell.weight_hh"], after["gru.cell.weight_hh"])


@pytest.mark.slow
def test_what_cannot_be_done_without_memory_is_done_with_it():
    """The best policy that acts on nothing but the present observation collects 1.5, and is found; a GRU finds 2."""
    small = {"num_symbols": 2, "delay": 3}
    env = gym.make_vec("pg_envs:pg/Recall-v0", 16, **small)
    known, returns = env.unwrapped.known_returns(), {}
    for memory in ({}, {"recurrent": 16}):
        agent = pg.PPO.for_env(env, num_steps=32, learning_rate=2e-3, minibatch_size=128, epochs=4, **memory)
        pg.train(agent, env, total_steps=30_000, progress=False)
        fresh = gym.make_vec("pg_envs:pg/Recall-v0", 50, **small)
        returns[bool(memory)] = pg.evaluate(agent, fresh, episodes=1000, seed=1).mean_return
    assert known.memoryless == 1.5 and known.optimal == 2
    assert abs(returns[False] - 1.5) < 0.05 and returns[True] > 1.9
