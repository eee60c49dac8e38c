"""Distributions → actions of the environment, in operations that can be exported; random numbers are an argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium as gym
import torch
from gymnasium import spaces
from torch import Tensor, nn

from pg_agents._fast.sampling import WORTH_INVERTING
from pg_agents.distributions import Bernoulli, Categorical, DiagonalGaussian, MultiCategorical, SquashedGaussian
from pg_agents.errors import UserError
from pg_agents.export.arrays import torch_dtype
from pg_agents.spaces.conversion import bounds_of


class Noise(NamedTuple):
    """The random numbers that one draw of actions takes.

    Attributes:
        kind: "exponential" (mean 1), "uniform" (0 ≤ U < 1) or "normal" (mean 0, variance 1).
        shape: of one observation's numbers.
        dtype: theirs.
    """

    kind: str
    shape: tuple[int, ...]
    dtype: torch.dtype

    def draw(self, rows: int, generator: torch.Generator | None = None) -> Tensor:
        """Return random numbers for `rows` observations, those that `act` draws with the same generator."""
        empty = torch.empty(rows, *self.shape, dtype=self.dtype)
        fill: dict[str, Callable[..., Tensor]] = {
            "exponential": empty.exponential_, "uniform": empty.uniform_, "normal": empty.normal_,
        }  # fmt: skip
        return fill[self.kind](generator=generator)


def parameters_of(distribution: Any) -> tuple[str, Tensor] | None:  # noqa: ANN401
    """Return the name and the values of what decides the action, before sampling and squashing; None: unknown."""
    if isinstance(distribution, Categorical):
        return "logits", distribution.unnormalized
    if isinstance(distribution, MultiCategorical):
        return "logits", distribution.each.unnormalized
    if isinstance(distribution, Bernoulli):
        return "logits", distribution.logits
    if isinstance(distribution, DiagonalGaussian | SquashedGaussian):
        return "mean", distribution.mode()
    return None


def noise_of(distribution: Any) -> Noise:  # noqa: ANN401
    """Return which random numbers `sampled` takes for a distribution [B, …].

    Raises:
        UserError: it is of another kind.
    """
    found = parameters_of(distribution)
    if found is None:
        name = type(distribution).__name__
        raise UserError(f"sample: actions of a {name} cannot be sampled in an exported file; leave it out")
    shape, dtype = tuple(found[1].shape[1:]), found[1].dtype
    if found[0] == "mean":
        return Noise("normal", shape, dtype)
    if isinstance(distribution, Bernoulli):
        return Noise("uniform", shape, dtype)
    if shape[-1] < WORTH_INVERTING:
        return Noise("exponential", shape, dtype)
    return Noise("uniform", (*shape[:-1], 1), torch.float64)


def sampled(distribution: Any, noise: Tensor) -> Tensor:  # noqa: ANN401
    """Return the actions [B, …] that a distribution's `sample` draws with these random numbers."""
    if isinstance(distribution, MultiCategorical):
        distribution = distribution.each
    if isinstance(distribution, SquashedGaussian):
        distribution = distribution.gaussian
    if isinstance(distribution, DiagonalGaussian):
        return distribution.mean + distribution.log_std.exp() * noise
    if isinstance(distribution, Bernoulli):
        return (noise < distribution.logits.sigmoid()).long()
    logits = distribution.unnormalized
    if logits.shape[-1] < WORTH_INVERTING:
        return (logits - noise.clamp(min=torch.finfo(noise.dtype).tiny).log()).argmax(-1)
    cumulative = logits.softmax(-1).double().cumsum(-1)
    return (cumulative <= noise * cumulative[..., -1:]).long().sum(-1)


class ToEnvironment(nn.Module):
    """Actions in the environment's units, [B, …], as arrays of its action space; see `conversion.to_env_action`.

    Args:
        space: of the actions.
    """

    start: Tensor
    low: Tensor
    high: Tensor

    def __init__(self, space: gym.Space) -> None:
        super().__init__()
        self.shape, self.dtype = tuple(space.shape or ()), torch_dtype(space, "action")
        self.box, self.whole = isinstance(space, spaces.Box), not self.dtype.is_floating_point
        if isinstance(space, spaces.Box):
            for name, bound in zip(("low", "high"), bounds_of(space), strict=True):
                self.register_buffer(name, torch.as_tensor(bound, dtype=torch.float64))
        else:
            self.register_buffer("start", torch.as_tensor(getattr(space, "start", 0), dtype=torch.int64))

    def forward(self, actions: Tensor) -> Tensor:
        """Return the actions, [B, *shape]."""
        actions = actions.reshape(-1, *self.shape)
        if not self.box:
            return (actions + self.start).to(self.dtype)
        actions = actions.double()
        actions = actions.round() if self.whole else actions
        return torch.minimum(torch.maximum(actions, self.low), self.high).to(self.dtype)
