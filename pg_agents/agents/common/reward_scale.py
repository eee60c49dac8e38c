"""Rewards divided by the running standard deviation of the discounted return."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from pg_agents.data.learners import apart, of_columns
from pg_agents.data.rollout import Rollout
from pg_agents.functional.returns import precision, precision_of_each
from pg_agents.policies.normalization import RunningMoments


class RewardScale(nn.Module):
    """Divides rewards by the running standard deviation of the discounted sum of past rewards.

        C_t = γ C_{t−1} + R_t (from 0 at an episode's start),   R̃_t = R_t / std(C)

    The mean is not subtracted: shifting rewards would change the best policy if episodes have different lengths.

    Args:
        discount: γ, or that of each learner, [L].
        num_learners: L; several learners have statistics of their own.

    Reference: Engstrom et al. (2020), section 3.
    """

    accumulated: Tensor

    def __init__(self, discount: float | Tensor, num_learners: int = 1) -> None:
        super().__init__()
        self.discount, self.num_learners = discount, num_learners
        self.moments = RunningMoments((), num_learners)
        nothing = torch.zeros(0, dtype=torch.float64)
        self.register_buffer("accumulated", nothing, persistent=False)  # C of each environment, [B]; of the run

    def forward(self, rollout: Rollout) -> Rollout:
        """Return the rollout with scaled rewards, after updating the statistics with it."""
        accumulated, sums = self.accumulated.to(rollout.rewards.device), []
        if len(accumulated) != rollout.rewards.shape[1]:  # another number of environments, whose past is unknown
            accumulated = accumulated.new_zeros(rollout.rewards.shape[1])
        discount = self.discount
        if isinstance(discount, Tensor):
            discount = of_columns(discount.to(accumulated), len(accumulated))
        for episode_starts, rewards in zip(rollout.episode_starts, rollout.rewards.double(), strict=True):
            accumulated = torch.where(episode_starts, 0.0, discount * accumulated) + rewards
            sums.append(accumulated)
        self.accumulated = accumulated
        return replace(
            rollout, rewards=rollout.rewards / self._std(torch.stack(sums), rollout).to(rollout.rewards.dtype)
        )

    def _std(self, sums: Tensor, rollout: Rollout) -> Tensor:
        """Return the standard deviation after adding C, [T, B], to the statistics; [B] of several learners."""
        if self.num_learners == 1:
            self.moments.update(sums[rollout.mask])
            return self.moments.std(precision(rollout.rewards))
        self.moments.update_each(sums, rollout.mask)
        rounding = precision_of_each(apart(rollout.rewards, self.num_learners)).flatten()
        return of_columns(self.moments.std(rounding), sums.shape[1])
