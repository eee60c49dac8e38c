"""The Kullback–Leibler divergence between action distributions, in closed form."""

from __future__ import annotations

from functools import singledispatch
from typing import TypeVar

import torch
from torch import Tensor

from pg_agents.distributions import (
    Bernoulli,
    Categorical,
    DiagonalGaussian,
    Distribution,
    MultiCategorical,
    SquashedGaussian,
)

Kind = TypeVar("Kind", bound=Distribution)


@singledispatch
def kl_divergence(p: Distribution, q: Distribution) -> Tensor:
    """Return KL(p‖q) = E_{a∼p}[ln p(a) − ln q(a)] in nats, […], differentiable in both.

    It is infinite where p takes an action that q never takes. Register a new class of distribution by
    `kl_divergence.register(Kind, function)`.

    Args:
        p: a batch of distributions […].
        q: a batch of the same class and shape.

    Raises:
        TypeError: no closed form is registered for p's class.
        ValueError: p and q are of different classes.

    Reference: Kullback & Leibler (1951).
    """
    raise TypeError(
        f"p: no closed form of KL is known for {type(p).__name__}; "
        f"write one and register it by kl_divergence.register({type(p).__name__}, ...)"
    )


@kl_divergence.register
def _(p: Categorical, q: Distribution) -> Tensor:
    """Σ_a p(a) [ln p(a) − ln q(a)]; an action that p never takes adds 0, for any q."""
    other = same_kind(p, q)
    probabilities = p.logits.exp()
    return (probabilities * torch.where(probabilities > 0, p.logits - other.logits, 0.0)).sum(-1)


@kl_divergence.register
def _(p: MultiCategorical, q: Distribution) -> Tensor:
    """The sum of the divergences of the components."""
    return kl_divergence(p.each, same_kind(p, q).each).sum(-1)


@kl_divergence.register
def _(p: Bernoulli, q: Distribution) -> Tensor:
    """Σ_i [p_i ln(p_i/q_i) + (1 − p_i) ln((1 − p_i)/(1 − q_i))], computed as categoricals with logits 0 and z."""
    both = [torch.stack([torch.zeros_like(d.logits), d.logits], -1) for d in (p, same_kind(p, q))]
    return kl_divergence(Categorical(both[0]), Categorical(both[1])).sum(-1)


@kl_divergence.register
def _(p: DiagonalGaussian, q: Distribution) -> Tensor:
    """Σ_i [ln(σ'_i/σ_i) + (σ_i² + (μ_i − μ'_i)²) / 2σ'_i² − ½], where the primed parameters are q's."""
    other = same_kind(p, q)
    log_ratio = other.log_std - p.log_std
    distance = (p.mean - other.mean) * (-other.log_std).exp()
    return (log_ratio + 0.5 * (torch.expm1(-2 * log_ratio) + distance.square())).sum(-1)


@kl_divergence.register
def _(p: SquashedGaussian, q: Distribution) -> Tensor:
    """The divergence of the Gaussians before tanh, as an invertible map leaves KL unchanged."""
    return kl_divergence(p.gaussian, same_kind(p, q).gaussian)


def same_kind(p: Kind, q: Distribution) -> Kind:
    """Return q, typed as p's class.

    Raises:
        ValueError: q is of another class.
    """
    if type(q) is not type(p):
        raise ValueError(f"q must be a {type(p).__name__} as p is, got a {type(q).__name__}")
    return q
