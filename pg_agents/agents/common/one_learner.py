"""One of several independent learners as an agent of its own."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from pg_agents.agents.common.some_learners import learners_of
from pg_agents.checks import whole_number


def tensors_of(agent: Any) -> dict[str, Tensor]:  # noqa: ANN401
    """Return copies of an agent's parameters and buffers, by name."""
    return {name: value.detach().clone() for name, value in [*agent.named_parameters(), *agent.named_buffers()]}


def learner_of(agent: Any, index: int, tensors: dict[str, Tensor] | None = None) -> Any:  # noqa: ANN401
    """Return the learner `index` of an agent, with all that it has learned and all that its next updates depend on.

    With `tensors`, which `tensors_of` has returned before, it has the parameters and buffers that it had then.

    Raises:
        ValueError: there is no such learner, or the agent was made of the user's networks.
    """
    index, count = whole_number("index", index), agent.policy.num_learners
    if index >= count:
        raise ValueError(f"index must be below {count}, the number of learners, got {index}")
    return learners_of(agent, [index], tensors)
