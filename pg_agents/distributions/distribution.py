"""The interface of distributions over actions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, Self

from torch import Tensor

from pg_agents.generators import Source


class Distribution(Protocol):
    """A batch […] of distributions over actions; actions have the shape […, *event]."""

    def sample(self, generator: Source = None) -> Tensor:
        """Draw one action from each distribution, […, *event]."""
        ...

    def mode(self) -> Tensor:
        """Return the most probable actions, […, *event]."""
        ...

    def log_prob(self, actions: Tensor) -> Tensor:
        """Return ln π(a|s), […]."""
        ...

    def entropy(self) -> Tensor:
        """Return −E ln π(a|s) in nats, […]."""
        ...

    def is_finite(self) -> bool:
        """Return whether the parameters that actions were drawn from are finite, as one bool for the batch.

        It is called at every step. If a distribution lacks this method, `draw` checks the log-probabilities of the
        drawn actions.
        """
        ...

    @classmethod
    def stack(cls, distributions: Sequence[Self]) -> Self:
        """Return T distributions of equal shape […], those of a rollout's steps, as one of shape [T, …]."""
        ...


def draw(
    distribution: Distribution,
    where: Callable[[int | None], str],
    *,
    greedy: bool = False,
    generator: Source = None,
) -> Tensor:
    """Return actions, [B, …]: drawn from a distribution, or the most probable ones.

    Args:
        distribution: for B observations.
        where: returns a description of the environment and its row (or None) for the message.
        greedy: return the mode.
        generator: the random numbers; None: torch's default generator.

    Raises:
        FloatingPointError: a parameter is not finite; −∞ for an impossible action is allowed.
    """
    actions = distribution.mode() if greedy else distribution.sample(generator)
    own = getattr(distribution, "is_finite", None)
    if own() if own else distribution.log_prob(actions).isfinite().all():
        return actions
    log_probs = distribution.log_prob(distribution.mode())
    rows = (~log_probs.isfinite()).reshape(len(log_probs), -1).any(1).nonzero().flatten().tolist()
    raise FloatingPointError(
        f"policy: its distribution over actions ({type(distribution).__name__}) is not finite "
        f"{where(rows[0] if rows else None)}: its parameters or outputs have become NaN or too large; train again with "
        "a smaller learning rate"
    )


def probabilities_of(distribution: Distribution) -> Tensor:
    """Return π(a|s) of all actions, […, A].

    Raises:
        TypeError: the actions are not Discrete.
    """
    if not hasattr(distribution, "probabilities"):
        raise TypeError(
            "policy: a sum over all actions needs Discrete ones, got a policy whose distribution "
            f"({type(distribution).__name__}) has no probabilities()"
        )
    return distribution.probabilities()
