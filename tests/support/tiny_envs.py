"""Small environments with every kind of ending, and policies whose actions depend on nothing but what they see."""

from functools import partial

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from pg_agents.distributions import Categorical
from pg_agents.policies import MLPPolicy

MODES = list(AutoresetMode)
NUMBERS = Box(-10, 10, (2,), np.float32)
OBSERVATIONS = {
    "box": NUMBERS,
    "buffer": NUMBERS,
    "discrete": Discrete(7, start=5),
    "dict": Dict(numbers=NUMBERS, state=Discrete(7, start=5)),
    "nested": Dict(outer=Dict(numbers=NUMBERS), state=Discrete(7, start=5)),
}
ACTIONS = {"discrete": Discrete(3), "shifted": Discrete(3, start=5), "box": Box(-1, 1, (2,), np.float32)}


class Dice(gym.Env):
    """Each step throws dice: what is seen, what it is worth, and, with probability `ends`, whether it was the last."""

    def __init__(self, ends=0.3, observation="box", action="discrete"):
        self.ends, self.kind = ends, observation
        self.observation_space, self.action_space = OBSERVATIONS[observation], ACTIONS[action]
        self.buffer = np.zeros(2, np.float32)
        self.clock = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.clock = 0
        return self.observe(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.clock += 1
        terminated = bool(self.np_random.random() < self.ends)
        reward = float(self.np_random.normal() + np.sum(np.arange(1, 1 + np.size(action)) * action))
        return self.observe(), reward, terminated, False, {}

    def observe(self):
        numbers = np.array([self.clock, self.np_random.random()], np.float32)
        state = np.int64(5 + self.np_random.integers(7))
        if self.kind == "buffer":
            self.buffer[:] = numbers
            return self.buffer
        if self.kind == "nested":
            return {"outer": {"numbers": numbers}, "state": state}
        return {"box": numbers, "discrete": state, "dict": {"numbers": numbers, "state": state}}[self.kind]


class OneStep(gym.Env):
    """A bandit whose arms all pay `reward`; `endless` never ends."""

    observation_space, action_space = Discrete(1), Discrete(2)

    def __init__(self, reward=1.0, endless=False):
        self.reward, self.endless = reward, endless

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.int64(0), {}

    def step(self, action):
        return np.int64(0), self.reward, not self.endless, False, {}


class Faulty(gym.Env):
    """Breaks its contract at step `at` (counted over all episodes); episodes are truncated after 3 steps."""

    observation_space, action_space = Box(-10, 10, (2,), np.float32), Discrete(2)

    def __init__(self, fault=None, at=2):
        self.fault, self.at, self.clock, self.elapsed = fault, at, 0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.elapsed = 0
        value = np.nan if self.fault == "nan at reset" and self.clock >= self.at else 0
        return np.array([0, value], np.float32), {}

    def step(self, action):
        self.clock, self.elapsed = self.clock + 1, self.elapsed + 1
        observation, reward = np.array([self.elapsed, 0], np.float32), 1.0
        if self.clock == self.at:
            reward = {"nan reward": np.nan, "inf reward": np.inf, "long reward": np.ones(2)}.get(self.fault, reward)
            if self.fault == "nan observation":
                observation[1] = np.nan
            if self.fault == "long observation":
                observation = np.zeros(3, np.float32)
        return observation, reward, False, self.elapsed == 3, {}


def limited(limit=4, **arguments):
    env = Dice(**arguments)
    return env if limit is None else gym.wrappers.TimeLimit(env, limit)


def dice(mode, num_envs=3, vector=SyncVectorEnv, limit=4, form=None, **arguments):
    """Return Dice in a vector environment, with a time limit: episodes terminate, are truncated, or both at once."""
    make = partial(limited, limit, **arguments)
    return vector([make] * num_envs, autoreset_mode=mode, **(form or {}))


class Chosen(MLPPolicy):
    """An MLP policy that acts by a fixed function of the observation, whatever its parameters and the generator are."""

    def step(self, observation, memory=None):
        distribution = self(observation)
        code = (self.encoder(observation).double() * 1000).sum(-1)
        if isinstance(distribution, Categorical):
            chosen = code.round().long() % self.network[-1].out_features
        else:
            chosen = torch.stack([2 * code.sin(), 2 * code.cos()], -1).float()
        distribution.sample = lambda generator=None: chosen
        return distribution, memory


def chosen(env, seed=0):
    torch.manual_seed(seed)
    return Chosen(env.single_observation_space, env.single_action_space, hidden=(8,))


def leaves(tree, index=()):
    """Return a tree's numbers at `index` as one flat list."""
    if isinstance(tree, dict):
        return [number for key in sorted(tree) for number in leaves(tree[key], index)]
    return np.asarray(tree)[index].ravel().tolist()


def transitions(rollouts):
    """Return for each environment its valid (observation, action, reward, terminated, truncated, next observation).

    The next observation is None after a termination, where nothing is learned from it.
    """
    num_envs = rollouts[0].mask.shape[1]
    lived = [[] for _ in range(num_envs)]
    for rollout in rollouts:
        final = {tuple(row): k for k, row in enumerate(rollout.final_rows.tolist())}
        for t, b in rollout.mask.nonzero().tolist():
            ended = bool(rollout.terminated[t, b])
            at_end = leaves(rollout.final_observations, final[t, b]) if (t, b) in final else None
            following = None if ended else at_end or leaves(rollout.observations, (t + 1, b))
            row = (rollout.actions[t, b].tolist(), float(rollout.rewards[t, b]), ended, bool(rollout.truncated[t, b]))
            lived[b].append((leaves(rollout.observations, (t, b)), *row, following))
    return lived
