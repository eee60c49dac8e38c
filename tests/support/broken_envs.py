"""Environments that cannot be made or break their contract, by id: what the command line has to name."""

import sys

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete
from pg_envs import MDPEnv, TabularMDP


class Broken(gym.Env):
    observation_space, action_space = Box(-1, 1, (2,), np.float32), Discrete(2)

    def __init__(self, fault="", at=30):
        self.fault, self.at, self.clock = fault, at, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(3 if self.fault == "reset" else 2, np.float32), {}

    def step(self, action):
        self.clock += 1
        observation, reward = np.zeros(2, np.float32), 1.0
        if self.clock == self.at:
            if self.fault == "bug":
                raise KeyError("a mistake of the environment's author")
            reward = {"nan reward": np.nan, "long reward": np.ones(3)}.get(self.fault, 1.0)
            observation = {"nan observation": observation * np.nan, "long observation": np.zeros(3, np.float32)}.get(
                self.fault, observation
            )
        return observation, reward, self.clock % 10 == 0, False, {}


class Quits(gym.Env):
    """Calls sys.exit, or raises what is hard to tell, when it is made, reset (not at first), stepped or closed."""

    observation_space, action_space = Box(-1, 1, (2,), np.float32), Discrete(2)

    def __init__(self, where="step", code=0, at=5):
        self.where, self.code, self.at, self.clock = where, code, at, 0
        self.quit("init")

    def quit(self, where):
        if where == self.where:
            sys.exit(self.code)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.clock:
            self.quit("reset")
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.clock += 1
        if self.clock == self.at:
            self.quit("step")
            if self.where == "percent":
                raise KeyError("100% of %s")
            if self.where == "interrupt":
                raise KeyboardInterrupt("100% of %s")
            if self.where == "two arguments":
                raise TwoArgumentsError(1, 2)
        return np.zeros(2, np.float32), 1.0, self.clock % 10 == 0, False, {}

    def close(self):
        self.quit("close")


class TwoArgumentsError(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


class NeedsABox(gym.Env):
    def __init__(self):
        raise gym.error.DependencyNotInstalled('Box2D is not installed, run `pip install "gymnasium[box2d]"`')


class NeedsAModule(gym.Env):
    def __init__(self):
        import a_simulator_nobody_has  # noqa: F401


def half_a_row():
    return MDPEnv(TabularMDP([[[0.5, 0.4], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]], np.zeros((2, 2)), [1.0, 0.0]))


gym.register("Broken-v0", entry_point=Broken)
gym.register("Quits-v0", entry_point=Quits)
gym.register("NeedsABox-v0", entry_point=NeedsABox)
gym.register("NeedsAModule-v0", entry_point=NeedsAModule)
gym.register("HalfARow-v0", entry_point=half_a_row)
