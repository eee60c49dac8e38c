"""An environment with any spaces."""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

OBSERVATIONS = {
    "scalar": Box(-1, 1, ()),
    "matrix": Box(-1, 1, (2, 3), np.float64),
    "cube": Box(-1, 1, (2, 3, 2)),
    "bytes": Box(0, 255, (3,), np.uint8),
    "image": Box(0, 255, (9, 8, 3), np.uint8),
    "real-image": Box(0, 1, (1, 8, 9)),
    "discrete": Discrete(3, start=-1),
    "multi": MultiDiscrete([[2, 3], [4, 5]], start=[[1, 0], [0, 2]]),
    "bits": MultiBinary((2, 2)),
    "tuple": Tuple([Discrete(3), Box(-1, 1, (2,))]),
    "nested": Dict(a=Tuple([Box(0, 255, (3, 7, 7), np.uint8), Dict(b=MultiBinary(2))]), c=Discrete(2)),
}
ACTIONS = {
    "discrete": Discrete(3, start=4),
    "multi": MultiDiscrete([2, 3]),
    "multi-2d": MultiDiscrete([[2, 2], [2, 2]], start=[[0, 1], [2, 3]]),
    "bits": MultiBinary(3),
    "bits-2d": MultiBinary((2, 2)),
    "box": Box(-2, 1, (2,)),
    "box-2d": Box(np.array([[-1, 0]]), np.array([[1, 9]]), dtype=np.float64),
    "free-box": Box(-np.inf, np.inf, (2,)),
    "whole-box": Box(-3, 3, (2,), np.int16),
    "half-box": Box(np.array([0, -1]), np.array([np.inf, 1]), dtype=np.float32),
}


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
