"""States through their form on disk, and environments played by the same actions."""

import dataclasses
import json

import numpy as np
import safetensors.numpy
import torch
from gymnasium.vector import AutoresetMode

from pg_agents.data.state import from_arrays_and_json, to_arrays_and_json


def through_disk(state):
    """Return a state written as arrays and JSON and read again."""
    arrays, values = to_arrays_and_json(state)
    on_disk = safetensors.numpy.load(safetensors.numpy.save(arrays))
    return from_arrays_and_json(on_disk, json.loads(json.dumps(values, allow_nan=False)))


def bits(value):
    """Return nested tuples that are equal if and only if the bits, dtypes and shapes are."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, dict):
        return tuple((key, bits(item)) for key, item in value.items())
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(map(bits, value))
    if dataclasses.is_dataclass(value):
        return tuple((field.name, bits(getattr(value, field.name))) for field in dataclasses.fields(value))
    return bits(vars(value)) if hasattr(value, "__dict__") else (type(value).__name__, repr(value))


class Player:
    """Plays a vector environment by actions that depend on the seed alone, and resets ended rows in mode DISABLED."""

    def __init__(self, env, seed):
        self.env, self.ended = env, np.zeros(env.num_envs, bool)
        env.reset(seed=seed)

    def play(self, steps, seed):
        """Return the bits of `steps` steps."""
        self.env.action_space.seed(seed)
        return [self.step(self.env.action_space.sample()) for _ in range(steps)]

    def step(self, actions):
        seen = []
        if self.env.metadata["autoreset_mode"] is AutoresetMode.DISABLED and self.ended.any():
            seen.append(bits(self.env.reset(options={"reset_mask": self.ended.copy()})))
        observation, rewards, terminated, truncated, infos = self.env.step(actions)
        self.ended = terminated | truncated
        return (*seen, bits((observation, rewards, terminated, truncated, infos)))
