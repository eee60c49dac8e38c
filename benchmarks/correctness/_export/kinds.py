"""Policies of every kind that can be exported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from torch import Tensor, nn

import pg_agents as pg
from benchmarks.correctness._export.beside import far_from_uniform

BOX = Box(-1, 1, (3,))
FAR = Box(1.7e9 - 60, 1.7e9 + 60, (3,), np.float64)
ARM = Box(np.array([-2, 0]), np.array([5, 0.1]), dtype=np.float64)
NESTED = Dict(a=Tuple([MultiDiscrete([2, 3], start=[1, 0]), Dict(b=MultiBinary(2))]), c=Discrete(4, start=-1), d=BOX)


class Wide(nn.Module):
    """An encoder as a user writes it, of a dict of arrays."""

    size = 6

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 6))

    def forward(self, seen: Mapping[str, Tensor]) -> Tensor:
        """Return features [N, 6]."""
        return self.layers(torch.cat([seen["a"], seen["b"].float()], -1))


@dataclass(frozen=True)
class Kind:
    """What a policy is made for, and how.

    Attributes:
        observations: the observation space.
        actions: the action space.
        options: of the agent; a class stands for what it makes.
        how: options of the export.
    """

    observations: Space[Any]
    actions: Space[Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    how: Mapping[str, bool] = field(default_factory=dict)

    def agent(self) -> pg.Agent:
        """Return an agent with random parameters."""
        torch.manual_seed(0)  # of an encoder of a user's
        made = {name: value() if isinstance(value, type) else value for name, value in self.options.items()}
        return far_from_uniform(pg.PPO.for_spaces(self.observations, self.actions, **made))


MASKED = {"action_mask": True}
KINDS = {
    "table": Kind(Discrete(6, start=2), Discrete(3), {}, MASKED),
    "Discrete actions": Kind(BOX, Discrete(3)),
    "40 actions": Kind(BOX, Discrete(40)),
    "ReLU": Kind(BOX, Discrete(3), {"activation": "relu", "hidden": (8, 8)}),
    "MultiDiscrete actions": Kind(BOX, MultiDiscrete([[2, 3], [4, 2]], start=[[0, 1], [2, 3]])),
    "MultiBinary actions": Kind(BOX, MultiBinary((2, 2))),
    "Box actions, clipped": Kind(BOX, ARM),
    "Box actions, squashed": Kind(BOX, ARM, {"squash": True}),
    "Box actions, whole numbers": Kind(BOX, Box(-3, 3, (2,), np.int16)),
    "observations near 1.7e9, standardised": Kind(FAR, Discrete(4), {"normalize_observations": True}),
    "Dict and Tuple observations": Kind(NESTED, Discrete(3)),
    "pictures": Kind(Box(0, 255, (36, 36, 3), np.uint8), Discrete(3)),
    "memory": Kind(BOX, Discrete(3), {"recurrent": 16}),
    "memory, standardised": Kind(Box(-9, 9, (3,)), ARM, {"recurrent": 8, "normalize_observations": True}),
    "mask": Kind(BOX, Discrete(4, start=-1), {}, MASKED),
    "mask of MultiDiscrete": Kind(BOX, MultiDiscrete([2, 3, 2], start=[0, 5, 1]), {}, MASKED),
    "mask of MultiBinary": Kind(BOX, MultiBinary(4), {}, MASKED),
    "mask observed": Kind(Dict(observation=BOX, action_mask=MultiBinary(4)), Discrete(4)),
    "mask observed, memory": Kind(Dict(x=BOX, action_mask=MultiBinary(4)), Discrete(4), {"recurrent": 8}),
    "own encoder": Kind(Dict(a=BOX, b=MultiBinary(2)), Discrete(3), {"encoder": Wide}),
    "tokens": Kind(Dict(tokens=Box(0, 9, (7,), np.int64), length=Discrete(8)), Discrete(10)),
}
