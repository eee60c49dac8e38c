"""What evaluation reports: exact on environments that can be worked out, and without preference for short episodes."""

import gymnasium as gym
import numpy as np
import pg_envs
import pytest
import torch
from gymnasium.spaces import Discrete
from gymnasium.vector import SyncVectorEnv
from support.tiny_envs import MODES, OneStep

import pg_agents as pg


class Sums(gym.Env):
    """Three steps worth the action plus 1; the observation is the clock. `lengthen` doubles every other episode."""

    observation_space, action_space = Discrete(7), Discrete(3)
    episode = 0

    def __init__(self, lengthen=False):
        self.lengthen = lengthen

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.clock, self.episode = 0, self.episode + 1
        self.last = 6 if self.lengthen and self.episode % 2 == 0 else 3
        return np.int64(0), {}

    def step(self, action):
        self.clock += 1
        return np.int64(self.clock), 1.0 + float(action), self.clock == self.last, False, {}


class ShortOrLong(gym.Env):
    """A coin decides at the start: 1 step and a return of 1, or 20 steps and a return of 0."""

    observation_space, action_space = Discrete(1), Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.short = bool(self.np_random.random() < 0.5)
        self.left = 1 if self.short else 20
        return np.int64(0), {}

    def step(self, action):
        self.left -= 1
        return np.int64(0), float(self.short), self.left == 0, False, {}


def sums_agent(logits=(0.0, 1.0, 0.0)):
    agent = pg.Reinforce.for_env(Sums())
    with torch.no_grad():
        agent.policy.logits.copy_(torch.tensor(logits).expand_as(agent.policy.logits))
    return agent


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("num_envs", [1, 2, 5])
def test_numbers_of_a_deterministic_environment(mode, num_envs):
    env = SyncVectorEnv([lambda: Sums(lengthen=True)] * num_envs, autoreset_mode=mode)
    result = pg.evaluate(sums_agent(), env, episodes=4 * num_envs)
    # The greedy action is 1: 2 a step. Every environment's episodes take 3, 6, 3, 6 steps, counted in that order.
    assert result.returns == [6.0] * num_envs + [12.0] * num_envs + [6.0] * num_envs + [12.0] * num_envs
    assert result.lengths == [3] * num_envs + [6] * num_envs + [3] * num_envs + [6] * num_envs
    assert (result.mean_return, result.std_return, result.episodes) == (9.0, 3.0, 4 * num_envs)


def test_single_environments_and_numbers_of_episodes_that_do_not_divide():
    assert pg.evaluate(sums_agent(), Sums(), episodes=7).returns == [6.0] * 7
    env = SyncVectorEnv([lambda: Sums(lengthen=True)] * 3)
    assert pg.evaluate(sums_agent(), env, episodes=5).returns == [6.0, 6.0, 6.0, 12.0, 12.0]


@pytest.mark.parametrize("mode", MODES)
def test_short_episodes_are_not_preferred(mode):
    # n = 2000 fair coins: the mean return is 0.5 with a standard error of 0.5 / √n; the first 2000 episodes to end
    # would be short ones in 20 of 21 cases, a mean of 0.95.
    env = SyncVectorEnv([ShortOrLong] * 50, autoreset_mode=mode)
    agent = pg.Reinforce.for_env(env)
    result = pg.evaluate(agent, env, episodes=2000, seed=1)
    assert abs(result.mean_return - 0.5) < 4 * 0.5 / np.sqrt(2000)
    assert np.mean(result.lengths) == pytest.approx(1 * result.mean_return + 20 * (1 - result.mean_return))


def test_greedy_takes_the_mode_and_stochastic_samples():
    # Logits ln (0.5, 0.3, 0.2): greedy is 1 a step; sampled 1 + 0.3 + 2 · 0.2 = 1.7, with the variance
    # 0.3 + 4 · 0.2 − 0.49 = 0.61 a step, so an episode has mean 5.1 and variance 1.83.
    agent = sums_agent(np.log([0.5, 0.3, 0.2]))
    env = SyncVectorEnv([Sums] * 20)
    assert set(pg.evaluate(agent, env, episodes=40).returns) == {3.0}
    sampled = pg.evaluate(agent, env, episodes=2000, greedy=False)
    assert abs(sampled.mean_return - 5.1) < 4 * np.sqrt(1.83 / 2000)
    # Var(s²) ≈ (μ₄ − σ⁴)/n < 2.5 σ⁴/n for these bounded returns: within 4 standard errors of the variance.
    assert abs(sampled.std_return**2 - 1.83) < 4 * 1.83 * np.sqrt(2.5 / 2000)


def test_the_seed_decides_what_is_sampled():
    agent, env = sums_agent((0.0, 0.0, 0.0)), SyncVectorEnv([Sums] * 4)
    first, again, other = (pg.evaluate(agent, env, episodes=40, greedy=False, seed=seed) for seed in (5, 5, 6))
    assert first.returns == again.returns != other.returns


def test_token_environments_wait_for_the_longest_text():
    # A policy without preferences, sampled: Shorter pays 1 − n/8 for n tokens before the end, 0 at the cap. The known
    # expectation is exact; returns lie in [0, 1], so their standard deviation is at most 0.5.
    env = gym.make_vec("pg/Shorter-v0", 50)
    agent = pg.Reinforce.for_env(env)
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.zero_()
    result = pg.evaluate(agent, env, episodes=1000, greedy=False)
    expected = pg_envs.known_returns(env).random
    assert result.episodes == len(result.returns) == 1000
    assert abs(result.mean_return - expected) < 4 * 0.5 / np.sqrt(1000)
    ended = np.array(result.returns) > 0
    lengths = np.array(result.lengths)
    assert np.allclose(np.array(result.returns)[ended], 1 - (lengths[ended] - 1) / 8)


def test_episodes_without_end_are_cut_where_told():
    env = SyncVectorEnv([lambda: OneStep(reward=2.0, endless=True)] * 3)
    agent = pg.Reinforce.for_env(env)
    result = pg.evaluate(agent, env, episodes=7, max_episode_steps=11)
    assert result.returns == [22.0] * 7 and result.lengths == [11] * 7


def test_episodes_without_end_are_refused_where_nothing_is_told(monkeypatch):
    monkeypatch.setattr("pg_agents.collection.collectors.EPISODE_LIMIT", 50)
    env = OneStep(endless=True)
    with pytest.raises(ValueError, match="max_episode_steps: an episode of OneStep has not ended after 50 steps"):
        pg.evaluate(pg.Reinforce.for_env(env), env, episodes=1)


def test_nothing_is_learned_and_no_global_generator_used():
    agent, env = sums_agent(), Sums()
    before, state = agent.policy.logits.clone(), torch.get_rng_state()
    pg.evaluate(agent, env, episodes=3, greedy=False)
    assert torch.equal(agent.policy.logits, before) and not agent.policy.logits.grad.any()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("episodes", [0, -1])
def test_no_episodes_are_refused(episodes):
    with pytest.raises(ValueError, match=f"episodes must be a whole number, 1 or above, got {episodes}"):
        pg.evaluate(sums_agent(), Sums(), episodes=episodes)


def test_episodes_are_cut_where_the_agent_cuts_them_and_spaces_must_be_its_own():
    env = gym.make("pg/TwoStateMDP-v0")
    agent = pg.Reinforce.for_env(env, max_episode_steps=7)
    assert pg.evaluate(agent, env, episodes=3).lengths == [7, 7, 7]
    assert pg.evaluate(agent, env, episodes=3, max_episode_steps=4).lengths == [4, 4, 4]
    with pytest.raises(ValueError, match="env: its observation space is"):
        pg.evaluate(agent, gym.make("pg/Chain-v0"), episodes=1)
    with pytest.raises(ValueError, match="max_episode_steps must be a whole number, 1 or above, got 0"):
        pg.evaluate(agent, env, episodes=1, max_episode_steps=0)
