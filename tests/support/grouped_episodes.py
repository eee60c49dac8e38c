"""Groups of episodes made by hand, and the problem they come from."""

from dataclasses import replace

import numpy as np
import torch
from pg_envs import TabularMDP

from pg_agents.gradients.problem import Problem
from pg_agents.policies import TabularPolicy
from support.hand_made import rollout

LOGITS = torch.tensor([[0.3, -0.2], [-0.5, 0.4]], dtype=torch.float64)


def tabular(logits=LOGITS):
    policy = TabularPolicy(*logits.shape).double()
    policy.logits.data.copy_(logits)
    return policy


def grouped(record, *ids):
    return replace(record, group_ids=torch.tensor(ids))


EPISODES = grouped(
    rollout(
        [(0, 1, 1, ""), (1, 0, 2, ""), (0, 0, 4, "T")],  # γ = ½: 1 + 1 + 1 = 3
        [(0, 0, 2, "T")],
        [(1, 1, 0, ""), (0, 1, 14, "X")],  # 7, truncated
        [(1, 0, 10, "T")],
        [(0, 1, 1, "T")],
        final={(1, 2): 0},
    ),
    *(0, 1, 0, 1, 0),
)


TASK = TabularMDP(
    [
        [[0.5, 0.3, 0.2], [0.1, 0.6, 0.3]],
        [[0.4, 0.4, 0.2], [0.0, 0.5, 0.5]],
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]],
    ],
    [[[1.0, -2.0, 0.5], [3.0, 0.3, -1.0]], [[0.0, 2.0, -0.7], [9.9, 1.1, 4.0]], np.zeros((2, 3)).tolist()],
    [0.7, 0.3, 0.0],
    terminal=[2],
)


PROBLEM = Problem(TASK, discount=0.8, horizon=2)


TABLE = torch.cat([LOGITS, torch.zeros(1, 2, dtype=torch.float64)])
