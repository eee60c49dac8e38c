"""Groups of episodes made by hand, and the problem they come from."""

from dataclasses import replace

import torch

from pg_agents.policies import TabularPolicy
from support import exactly
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


TASK = exactly.EPISODES
PROBLEM = exactly.TINY
TABLE = torch.cat([LOGITS, torch.zeros(1, 2, dtype=torch.float64)])
