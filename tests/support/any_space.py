"""An environment with any spaces."""

import gymnasium as gym
import numpy as np


class Anything(gym.Env):
    """Shows whatever its observation space holds; refuses actions outside its action space; pays for their sum."""

    def __init__(self, observation_space, action_space):
        self.observation_space, self.action_space = observation_space, action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        terminated = bool(self.np_random.random() < 0.3)
        return self.observation_space.sample(), float(np.tanh(np.sum(action))), terminated, False, {}
