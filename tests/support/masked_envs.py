"""Environments that forbid actions, and fail when one of those is taken."""

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete
from gymnasium.vector import SyncVectorEnv

from pg_agents.spaces.action_masks import mask_size

ACTIONS = {
    "discrete": Discrete(4),
    "shifted": Discrete(4, start=-2),
    "multi": MultiDiscrete([2, 3, 2], start=[0, 5, 1]),
    "bits": MultiBinary(4),
}


class Doors(gym.Env):
    """Each step opens doors at random and shows which; an action is worth the number of its door, if that is open.

    The observation repeats the mask, so that a mask that came to another step's observation can be told. Episodes end
    with probability `ends`, with a mask that forbids everything.

    Args:
        action: a key of `ACTIONS`.
        where: the mask is in "info", or with PettingZoo's keys in the "observation".
        form: of the mask in the info: "array", "list", or "tuple" with a part for each choice.
        ends: probability.
        forbid: the step, counted over all episodes, at which nothing is allowed any more.
    """

    def __init__(self, action="discrete", where="info", form="array", ends=0.3, forbid=None):
        self.action_space, self.where, self.form, self.ends, self.forbid = ACTIONS[action], where, form, ends, forbid
        self.size, self.clock = mask_size(self.action_space), 0
        self.observation_space = shown = Box(0, 1, (self.size,), np.float32)
        if where == "observation":
            self.observation_space = Dict(observation=shown, action_mask=MultiBinary(self.size))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.open = self.draw()
        return self.observe()

    def step(self, action):
        assert self.action_space.contains(np.asarray(action)[()]), action
        chosen = self.entries(action)
        assert self.open[chosen].all(), f"{action} is forbidden by {self.open}"
        self.clock += 1
        terminated = bool(self.np_random.random() < self.ends)
        self.open = self.draw()
        if terminated or self.clock == self.forbid:
            self.open[:] = False
        observation, info = self.observe()
        return observation, float(chosen.sum()), terminated, False, info

    def entries(self, action):
        """Return which entries of the mask an action needs."""
        if isinstance(self.action_space, MultiDiscrete):
            firsts = np.cumsum(self.action_space.nvec) - self.action_space.nvec
            return firsts + action - self.action_space.start
        return np.flatnonzero(action) if self.size != 4 or np.ndim(action) else np.array([action - self.start])

    @property
    def start(self):
        return getattr(self.action_space, "start", 0)

    def draw(self):
        """Return a mask with something to choose everywhere."""
        mask = self.np_random.random(self.size) < 0.4
        if isinstance(self.action_space, Discrete):
            mask[self.np_random.integers(self.size)] = True
        if isinstance(self.action_space, MultiDiscrete):
            firsts = np.cumsum(self.action_space.nvec) - self.action_space.nvec
            mask[firsts + self.np_random.integers(self.action_space.nvec)] = True
        return mask

    def observe(self):
        shown, mask = self.open.astype(np.float32), self.open.astype(np.int8)
        if self.where == "observation":
            return {"observation": shown, "action_mask": mask}, {}
        if self.form == "list":
            return shown, {"action_mask": mask.tolist()}
        if self.form == "tuple":
            return shown, {"action_mask": tuple(np.split(mask, np.cumsum(self.action_space.nvec)[:-1]))}
        return shown, {"action_mask": mask}


def limited(limit=5, **arguments):
    return gym.wrappers.TimeLimit(Doors(**arguments), limit)


def doors(mode, num_envs=3, **arguments):
    """Return Doors with a time limit in a vector environment."""
    return SyncVectorEnv([lambda: limited(**arguments)] * num_envs, autoreset_mode=mode)
