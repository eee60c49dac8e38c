"""A rollout that is refused: its error, and what it has changed, put back (no refused step changes parameters)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

from pg_agents.agents.common.config import STEP_SIZES
from pg_agents.agents.common.overlap import Overlap


def remember(overlap: Overlap, statistics: Iterable[nn.Module]) -> Callable[[], None]:
    """Return a function that makes running statistics, and the steps to be prepended, what they are now.

    Args:
        overlap: holds the steps that are prepended to the next rollout.
        statistics: modules whose buffers are statistics of rollouts.
    """
    last = overlap.last
    kept = [
        (part, name, buffer.clone())
        for module in statistics
        for part in module.modules()
        for name, buffer in part.named_buffers(recurse=False)
    ]

    def put_back() -> None:
        overlap.last = last
        for part, name, buffer in kept:
            setattr(part, name, buffer)

    return put_back


def statistics_of(agent: nn.Module) -> list[nn.Module]:
    """Return an agent's modules that are no networks: their buffers are statistics of rollouts."""
    networks = "policy", "critic", "reference"
    return [module for name, module in agent._modules.items() if module is not None and name not in networks]


def not_finite(agent: Any, what: str) -> FloatingPointError:  # noqa: ANN401
    """Return the error for a reward or a gradient that is not finite; it names options that may help."""
    smaller = " or ".join(f"{name} (now {value})" for name, value in agent.arguments.items() if name in STEP_SIZES)
    may = f"if the environment's rewards are, a smaller {smaller} may help"
    return FloatingPointError(f"{what} of {type(agent).__name__} is not finite; {may}")
