"""What a distribution over actions is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self

import torch
from torch import Tensor


class Distribution(Protocol):
    """A distribution over actions for each of […] observations; actions have shape […, *event]."""

    def sample(self, generator: torch.Generator | None = None) -> Tensor:
        """Draw one action for each observation."""
        ...

    def mode(self) -> Tensor:
        """Return the most probable action."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return ln π(a|s), […]."""
        ...

    def entropy(self) -> Tensor:
        """Return −E ln π(a|s) in nats, […]."""
        ...

    def is_finite(self) -> bool:
        """Return whether what was drawn from is a distribution: none of its numbers is NaN, and none too large.

        It is asked at every step: of all numbers at once. One that does not have this method is taken at the
        log-probabilities of what was drawn (`draw`).
        """
        ...

    @classmethod
    def stack(cls, distributions: Sequence[Self]) -> Self:
        """Return T distributions of equal shape […] as one of shape [T, …]: a rollout's, made step by step."""
        ...


def draw(
    distribution: Distribution,
    where: Callable[[int | None], str],
    *,
    greedy: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Return actions to take, [B, …]: drawn from a distribution, or the most probable ones.

    Args:
        distribution: of [B] observations.
        where: says of the row of an observation, or of None, what is acted in, for the message.
        greedy: return the mode.
        generator: to sample with; None: torch's default.

    Raises:
        FloatingPointError: it has numbers that are not finite; −∞ for what is impossible may be.
    """
    actions = distribution.mode() if greedy else distribution.sample(generator)
    own = getattr(distribution, "is_finite", None)
    if own() if own else distribution.log_prob(actions).isfinite().all():
        return actions
    log_probs = distribution.log_prob(distribution.mode())
    rows = (~log_probs.isfinite()).reshape(len(log_probs), -1).any(1).nonzero().flatten().tolist()
    raise FloatingPointError(
        f"policy: its distribution over actions ({type(distribution).__name__}) is not finite "
        f"{where(rows[0] if rows else None)}: its parameters, or what it computes with them, have become NaN or too "
        "large; begin again with smaller steps"
    )
