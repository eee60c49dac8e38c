"""Overlapping rollouts: the last steps of one are also the first steps of the next."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pg_agents.data.rollout import Rollout, map_steps


class Overlap:
    """Prepends the previous rollout's last steps to a rollout.

    Args:
        steps: number of steps to prepend.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.last: Rollout | None = None  # belongs to the run, not to the agent: it is not saved

    def __call__(self, rollout: Rollout) -> Rollout:
        """Return the rollout with the steps prepended; unchanged if the number of environments has changed."""
        if not self.steps:
            return rollout
        last, self.last = self.last, steps_of(rollout, slice(-self.steps, None))
        if last is None or last.mask.shape[1] != rollout.mask.shape[1]:
            return rollout
        rollout = replace(rollout, features=None)  # those of the previous rollout are of earlier parameters
        joined = map_steps(lambda then, before: torch.cat([before, then]), rollout, last)
        return replace(joined, memory=last.memory)


def steps_of(rollout: Rollout, rows: slice) -> Rollout:
    """Return the steps of a rollout that the slice `rows` selects."""
    return map_steps(lambda leaf: leaf[rows], rollout)


def continued(rollout: Rollout) -> Tensor:
    """Return for all steps but the last whether the next step continues their episode, bool [T − 1, B]."""
    # After an episode's end the next valid row is a start.
    return rollout.mask[:-1] & rollout.mask[1:] & ~rollout.episode_starts[1:]


def refuse_terminations(rollout: Rollout) -> None:
    """Raise ValueError if an episode terminated, for agents that learn in tasks that never end."""
    if bool((rollout.terminated & rollout.mask).any()):
        raise ValueError(
            "env: an episode terminated, but average-reward is for tasks that never end; use another agent "
            "(actor-critic), or let the environment continue from its first state instead of terminating"
        )
