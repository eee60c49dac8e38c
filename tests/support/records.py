"""A rollout made by hand."""

import torch

from pg_agents.data.rollout import Rollout


def record(observations=None):
    return Rollout(
        observations=torch.arange(6).reshape(3, 2) if observations is None else observations,
        actions=torch.ones(3, 2, dtype=torch.int64),
        log_probs=torch.full((3, 2), -0.5),
        rewards=torch.arange(6.0).reshape(3, 2),
        terminated=torch.tensor([[0, 0], [1, 0], [0, 1]]).bool(),
        truncated=torch.zeros(3, 2, dtype=torch.bool),
        mask=torch.tensor([[1, 1], [1, 1], [0, 1]]).bool(),
        episode_starts=torch.tensor([[1, 1], [0, 0], [0, 0]]).bool(),
        times=torch.tensor([[0, 0], [1, 1], [0, 2]]),
        final_observations=torch.zeros(0, dtype=torch.int64),
        final_rows=torch.zeros(0, 2, dtype=torch.int64),
        episode_returns=torch.tensor([2.0, 9.0]),
        episode_lengths=torch.tensor([2, 3]),
    )
