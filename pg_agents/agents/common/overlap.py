"""Rollouts whose last steps are learned from again, in front of the next rollout's."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pg_agents.data.rollout import Rollout, map_steps


class Overlap:
    """Puts the last `steps` steps of the rollout before in front of a rollout.

    Args:
        steps: how many.
    """

    def __init__(self, steps: int) -> None:
        self.steps = steps
        self.last: Rollout | None = None  # of the run, not of the agent: it is not saved

    def __call__(self, rollout: Rollout) -> Rollout:
        """Return the rollout with the steps in front of it; as it is where those were of other environments."""
        if not self.steps:
            return rollout
        last, self.last = self.last, steps_of(rollout, slice(-self.steps, None))
        if last is None or last.mask.shape[1] != rollout.mask.shape[1]:
            return rollout
        joined = map_steps(lambda then, before: torch.cat([before, then]), rollout, last)
        return replace(joined, memory=last.memory)


def steps_of(rollout: Rollout, rows: slice) -> Rollout:
    """Return some steps of a rollout."""
    return map_steps(lambda leaf: leaf[rows], rollout)


def continued(rollout: Rollout) -> Tensor:
    """Return of all steps but the last whether the next step goes on from them, bool [T − 1, B]."""
    # After an end no row but a start is valid.
    return rollout.mask[:-1] & rollout.mask[1:] & ~rollout.episode_starts[1:]


def refuse_terminations(rollout: Rollout) -> None:
    """Raise ValueError where an episode terminated, for agents that learn in tasks that never end."""
    if bool((rollout.terminated & rollout.mask).any()):
        raise ValueError(
            "env: an episode terminated, but average-reward learns in tasks that never do; take another agent "
            "(actor-critic), or let the environment go on from its first state instead of terminating"
        )
