"""An environment that raises, exits, hangs or is killed where it is told to."""

import os
import signal
import sys
import threading
import time

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Discrete


class Misbehaves(gym.Env):
    """Does something at a place: in `init`, at the second `reset`, at the fifth `step`, in `close`.

    In workers `init` misbehaves only there: Gymnasium makes the first environment once in its own process, too.
    """

    observation_space, action_space = Box(-1, 1, (2,), np.float32), Discrete(2)

    def __init__(self, place="nowhere", what="raise", spared=None):
        self.place, self.what, self.spared, self.clock = place, what, spared, 0
        self.at("init")

    def at(self, place):
        if place != self.place or os.getpid() == self.spared:
            return
        if self.what == "raise":
            raise KeyError("a mistake of the environment's author")
        if self.what == "exit":
            sys.exit(3)
        if self.what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.what == "unsendable":
            raise type("LocalError", (Exception,), {})("holds a lock", threading.Lock())
        while True:  # whatever is raised in it
            try:
                time.sleep(60)
            except Exception:
                continue

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if self.clock:
            self.at("reset")
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.clock += 1
        if self.clock == 5:
            self.at("step")
        return np.zeros(2, np.float32), 1.0, self.clock % 8 == 0, False, {}

    def close(self):
        self.at("close")


gym.register("Misbehaves-v0", entry_point=Misbehaves)
