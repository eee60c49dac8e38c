"""Gradients, scaled down to a largest norm."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from pg_agents.data.shares import Ranks


def gradients_of(vectors: Iterable[Tensor], ranks: Ranks | None) -> list[Tensor]:
    """Return the gradients of all vectors that have one; with ranks, their sums over these, which all vectors have."""
    vectors = [*vectors]
    if ranks is not None and ranks.count > 1:
        for vector in vectors:
            vector.grad = torch.zeros_like(vector) if vector.grad is None else vector.grad
        ranks.add([vector.grad for vector in vectors if vector.grad is not None])
    return [vector.grad for vector in vectors if vector.grad is not None]


def clip(gradients: list[Tensor], max_norm: float | None) -> float:
    """Scale gradients down to `max_norm` together, in place; return their norm before."""
    norm = math.hypot(*(float(torch.linalg.vector_norm(gradient)) for gradient in gradients))
    if max_norm is not None and max_norm < norm < math.inf:
        torch._foreach_mul_(gradients, max_norm / norm)
    return norm


def clip_each(gradients: list[Tensor], max_norm: float | Tensor | None) -> Tensor:
    """Scale each learner's rows of gradients [L, P] down to `max_norm`, or to its own of [L], in place.

    Returns:
        the norms before, [L].
    """
    norms = [torch.linalg.vector_norm(gradient, dim=1) for gradient in gradients]
    norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms), dim=0)
    if max_norm is not None and bool((norm > max_norm).any()):
        factors: Any = (max_norm / norm).clamp(max=1)[:, None].to(norm.dtype)
        for gradient in gradients:
            gradient.mul_(factors)
    return norm
