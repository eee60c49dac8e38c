"""Running means and deviations, which are saved with an agent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from pg_agents.data.learners import of_columns
from pg_agents.data.shares import Ranks
from pg_agents.data.tree import Tree
from pg_agents.spaces.action_masks import split_mask
from pg_agents.spaces.pictures import picture_of


class RunningMoments(nn.Module):
    """Mean and variance of all arrays seen so far, element by element, merged batch by batch.

    Args:
        shape: the shape of one array.
        num_learners: L; several learners have statistics of their own, [L, *shape].

    Reference: Chan, Golub & LeVeque (1983).
    """

    count: Tensor
    mean: Tensor
    squares: Tensor

    def __init__(self, shape: tuple[int, ...] = (), num_learners: int = 1) -> None:
        super().__init__()
        learners = () if num_learners == 1 else (num_learners,)
        self.register_buffer("count", torch.zeros(learners, dtype=torch.float64))
        self.register_buffer("mean", torch.zeros(learners + shape, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(learners + shape, dtype=torch.float64))

    def update(self, values: Tensor, ranks: Ranks | None = None) -> None:
        """Add `values`, [N, *shape], to the statistics, and those of other processes that learn together.

        Raises:
            FloatingPointError: a value, or the square of one, is not finite; the statistics stay as they are.
        """
        values = values.double()
        found = self.count, self.mean, self.squares
        for moments in _moments_of_ranks(values, ranks):
            found = _merged(found, moments)
        if not math.isfinite(found[2].sum()):
            largest = f", up to {float(values.abs().max()):g}," if values.numel() else ""
            raise FloatingPointError(f"a number to be normalized{largest} or its square is not finite")
        for buffer, value in zip((self.count, self.mean, self.squares), found, strict=True):
            buffer.copy_(value)

    def update_each(self, values: Tensor, mask: Tensor) -> None:
        """Add values of L · b columns, [T, L · b, *shape], to the statistics of their learners, where `mask` is True.

        Raises:
            FloatingPointError: as `update`.
        """
        learners, ones = len(self.count), [1] * (values.ndim - 2)
        valid = mask.unflatten(1, (learners, -1))
        kept = valid.reshape(*valid.shape, *ones)
        values = values.double().unflatten(1, (learners, -1)) * kept  # [T, L, b, *shape]
        counts, before = valid.sum((0, 2)).reshape(-1, *ones), self.count.reshape(-1, *ones)
        mean, total = values.sum((0, 2)) / counts.clamp(min=1), (before + counts).clamp(min=1)
        delta = mean - self.mean
        deviations = ((values - mean[:, None]) * kept).square().sum((0, 2))
        squares = self.squares + deviations + delta.square() * before * counts / total
        if not math.isfinite(squares.sum()):
            raise FloatingPointError(
                f"a number to be normalized, up to {float(values.abs().max()):g}, or its square is not finite"
            )
        self.squares.copy_(squares)
        self.mean += delta * counts / total
        self.count += counts.flatten()

    def std(self, relative: float | Tensor = 0.0) -> Tensor:
        """Return the standard deviation, *shape; 1 until two different numbers have been seen.

        Args:
            relative: relative differences up to this count as rounding, in addition to those of float64.
        """
        count = self.count.reshape(self.count.shape + (1,) * (self.mean.ndim - self.count.ndim))
        std = (self.squares / count.clamp(min=1)).sqrt()
        least = torch.as_tensor(relative, dtype=std.dtype).clamp(min=16 * torch.finfo(std.dtype).eps)
        rounding = least * self.mean.abs()  # equal numbers may differ by this
        return torch.where(std > rounding, std, 1.0)


Moments = tuple[Tensor, Tensor, Tensor]  # how many, their mean, their sum of squared deviations


def _moments_of_ranks(values: Tensor, ranks: Ranks | None) -> list[Moments]:
    """Return the moments of values [N, *shape], or those of each process's values."""
    count = torch.tensor(float(len(values)), dtype=torch.float64, device=values.device)
    mean = values.mean(0) if len(values) else values.new_zeros(values.shape[1:])
    mine = count, mean, (values - mean).square().sum(0)
    return [mine] if ranks is None else list(zip(*map(ranks.gather, mine), strict=True))


def _merged(first: Moments, second: Moments) -> Moments:
    """Return the moments of the values of both."""
    (before, mean, squares), (count, other, more) = first, second
    if not count:
        return first
    total, delta = before + count, other - mean
    return total, mean + delta * count / total, squares + more + delta.square() * before * count / total


class ObservationScale(nn.Module):
    """Standardises real numbers in observations by their running means and standard deviations.

        x̃ = clip((x − mean) / std, −10, 10),   elementwise

    Boxes of real numbers are standardised, unless they are pictures or of rank 3 or above; other parts are unchanged.
    The statistics change only in `update`, which an agent calls after learning from a rollout, so that acting and
    learning use the same numbers, and evaluation changes nothing. Policy and critic share one instance.

    The mean is subtracted in the precision of the space: 1.7·10⁹ ± 60 in float64 becomes ±1, where float32 would keep
    four values. (Without standardisation, numbers are rounded to the network's precision first.)

    Args:
        space: the space of one observation: a Box, or a Dict or Tuple of spaces.
        num_learners: L; several learners have statistics of their own.
    """

    shift: Tensor
    factor: Tensor

    def __init__(self, space: gym.Space, num_learners: int = 1) -> None:
        super().__init__()
        self.space, self.num_learners = space, num_learners
        self.real = _is_real(space)
        self.of = {key: ObservationScale(child, num_learners) for key, child in _children(space).items()}
        names = {key: str(key) for key in self.of if isinstance(space, gym.spaces.Tuple) or _is_name(key)}
        self.parts = nn.ModuleDict({name: self.of[key] for key, name in names.items()})
        self.others = nn.ModuleList(part for key, part in self.of.items() if key not in names)
        if self.real:
            dtype = torch.float64 if space.dtype == np.float64 else torch.float32
            self.moments = RunningMoments(space.shape or (), num_learners)
            self.register_buffer("shift", torch.zeros_like(self.moments.mean, dtype=dtype))
            self.register_buffer("factor", torch.ones_like(self.moments.mean, dtype=dtype))
            self.register_load_state_dict_post_hook(_refresh)  # files of earlier versions hold them in 32 bits

    def forward(self, observations: Tree) -> Tree:
        """Return observations [..., *shape], standardised, in the precision of their space, at least 32 bits."""
        if self.real:  # x · (1/std) − mean/std: one operation, whose product is not rounded, and one for the bounds
            shift, factor = self.shift, self.factor
            if self.num_learners > 1:
                columns = observations.shape[-factor.ndim]
                shift, factor = of_columns(shift, columns), of_columns(factor, columns)
            return torch.addcmul(shift, observations.to(factor.dtype), factor).clamp_(-10.0, 10.0)
        if not self.of:
            return observations
        if isinstance(observations, tuple):
            return tuple(self.of[key](leaf) for key, leaf in enumerate(observations))
        return {key: self.of[key](leaf) if key in self.of else leaf for key, leaf in observations.items()}

    def update(self, observations: Tree, mask: Tensor, ranks: Ranks | None = None) -> None:
        """Add the observations [T, B, *shape] to the statistics, in rows where `mask` [T, B] is True.

        Those of the other processes that learn together, `ranks`, are added, too.
        """
        observations = split_mask(observations)[0]
        if self.real:
            if self.num_learners > 1:
                self.moments.update_each(observations, mask)
            else:
                self.moments.update(observations[mask], ranks)
            self.refresh()
        for key, part in self.of.items():
            part.update(observations[key], mask, ranks)

    @staticmethod
    def stacked(scales: Sequence[ObservationScale]) -> ObservationScale:
        """Return the scales of L learners as one."""
        whole = ObservationScale(scales[0].space, len(scales))
        states = [scale.state_dict() for scale in scales]
        whole.load_state_dict({name: torch.stack([state[name] for state in states]) for name in states[0]})
        return whole

    def refresh(self) -> None:
        """Compute −mean/std and 1/std from the statistics."""
        std = self.moments.std()
        self.factor.copy_(1 / std)
        self.shift.copy_(-self.moments.mean / std)


def _refresh(scale: ObservationScale, _: Any) -> None:  # noqa: ANN401
    scale.refresh()


def has_real(space: gym.Space) -> bool:
    """Return whether any part of an observation is standardised."""
    return _is_real(space) or any(map(has_real, _children(space).values()))


def _is_real(space: gym.Space) -> bool:
    if not isinstance(space, gym.spaces.Box) or not np.issubdtype(space.dtype, np.floating):
        return False
    return len(space.shape) < 3 and picture_of(space) is None


def _is_name(key: Any) -> bool:  # noqa: ANN401
    """Return whether torch accepts the key of a Dict as a submodule's name."""
    return isinstance(key, str) and key != "" and "." not in key and not hasattr(nn.ModuleDict(), key)


def _children(space: gym.Space) -> dict[Any, gym.Space]:
    if isinstance(space, gym.spaces.Tuple):
        return dict(enumerate(space.spaces))
    return dict(space.spaces) if isinstance(space, gym.spaces.Dict) else {}


def scales_of(module: nn.Module) -> list[ObservationScale]:
    """Return the scales in a module that are not parts of other scales, each once."""
    scales = [part for part in module.modules() if isinstance(part, ObservationScale)]
    inner = {id(part) for scale in scales for child in scale.of.values() for part in child.modules()}
    return [scale for scale in scales if id(scale) not in inner]
