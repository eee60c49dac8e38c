"""Running statistics that are part of an agent, saved with it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from pg_agents.rollout import Rollout


class RunningMoments(nn.Module):
    """Mean and variance of all numbers seen so far, merged batch by batch.

    Reference: Chan, Golub & LeVeque (1983).
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("count", "mean", "squares"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))

    def update(self, values: Tensor) -> None:
        """Take in `values`, of any shape."""
        if values.numel() == 0:
            return
        values = values.double()
        mean, count = values.mean(), values.numel()
        total, delta = self.count + count, mean - self.mean
        self.squares += (values - mean).square().sum() + delta.square() * self.count * count / total
        self.mean += delta * count / total
        self.count.copy_(total)

    def std(self) -> Tensor:
        """Return the standard deviation; 1 before two different numbers were seen."""
        std = (self.squares / self.count.clamp(min=1)).sqrt()
        rounding = 16 * torch.finfo(std.dtype).eps * self.mean.abs()  # what equal numbers may seem to differ by
        return torch.where(std > rounding, std, 1.0)


class RewardScale(nn.Module):
    """Divides rewards by the running standard deviation of the discounted sum of past rewards.

        C_t = γ C_{t−1} + R_t (from 0 at an episode's start),   R̃_t = R_t / std(C)

    The mean is left alone: shifting rewards would change what the best policy is where episodes have different lengths.

    Args:
        discount: γ.

    Reference: Engstrom et al. (2020), section 3.
    """

    def __init__(self, discount: float) -> None:
        super().__init__()
        self.discount = discount
        self.moments = RunningMoments()
        self.accumulated = torch.zeros(0, dtype=torch.float64)  # C of each environment, [B]; of the run, not the agent

    def forward(self, rollout: Rollout) -> Rollout:
        """Return the rollout with scaled rewards, after taking its own into the statistics."""
        accumulated, sums = self.accumulated.to(rollout.rewards.device), []
        if len(accumulated) != rollout.rewards.shape[1]:  # another number of environments: their past is not known
            accumulated = accumulated.new_zeros(rollout.rewards.shape[1])
        for starts, rewards in zip(rollout.starts, rollout.rewards.double(), strict=True):
            accumulated = torch.where(starts, 0.0, self.discount * accumulated) + rewards
            sums.append(accumulated)
        self.accumulated = accumulated
        self.moments.update(torch.stack(sums)[rollout.mask])
        return replace(rollout, rewards=rollout.rewards / self.moments.std().to(rollout.rewards.dtype))
