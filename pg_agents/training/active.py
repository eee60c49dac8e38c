"""The learners of a run that go on: who has finished, at `stop_return` or with its part of steps, leaves the batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pg_agents.agents.base import Agent, Metrics
from pg_agents.agents.common.some_learners import give_back, learners_of
from pg_agents.collection.collector import Collector
from pg_agents.collection.fewer_learners import can_keep, keep_learners, let_go
from pg_agents.data.rollout import EpisodeCadence, Rollout


class Active:
    """The learners of an agent that go on in a run, as an agent of their own once others have finished.

    Args:
        agent: the agent of all learners.
        each_its_part: whether each has finished when it has taken its part of the run's steps; else all go on until all
            together have taken them.

    Attributes:
        learners: the places of those that go on.
        learning: the agent that consists of them; the agent itself while all go on.
    """

    def __init__(self, agent: Agent, *, each_its_part: bool = False) -> None:
        self.each_its_part = each_its_part
        self.agent = self.learning = agent
        self.learners = list(range(len(agent.seeds)))
        self.given = True  # whether the agent has all that those who go on have learned

    def progresses(self, share: float | tuple[float, ...]) -> None:
        """Let schedules be at a share of the run, or of those who go on each at its own of [L]."""
        self.agent.progress = share
        own = tuple(share[learner] for learner in self.learners) if isinstance(share, tuple) else share
        self.learning.progress = own if not isinstance(own, tuple) or len(own) > 1 else own[0]

    def update(self, rollout: Rollout) -> Metrics:
        """Learn from a rollout of those who go on; return metrics, of several learners [L], NaN of the finished."""
        metrics = self.learning.update(rollout)
        if self.learning is self.agent:
            return metrics
        self.given = False
        return {name: self._of_all(value) for name, value in metrics.items()}

    def _of_all(self, value: Tensor) -> Tensor:
        whole = value.new_full((len(self.agent.seeds),), torch.nan)
        whole[self.learners] = value
        return whole

    def keep(self, learners: Sequence[int], collector: Collector) -> None:
        """Go on with some of the learners, of whom the collector's next rollouts are."""
        self.whole()
        places = [self.learners.index(learner) for learner in learners]
        self.learners = list(learners)
        self.learning = learners_of(self.agent, self.learners)
        keep_learners(collector, self.learning.policy, places)

    def whole(self) -> Agent:
        """Return the agent of all learners, with all that they have learned."""
        if not self.given:
            give_back(self.agent, self.learning, self.learners)
            self.given = True
        return self.agent

    def end(self, collector: Collector) -> None:
        """Let the agent and the environment be as they are without this run."""
        self.whole()
        let_go(collector)


def check_stop_return(agent: Agent, collector: Collector, stop_return: float | None) -> None:
    """Raise ValueError if a learner that reaches `stop_return` could not leave the others."""
    if stop_return is None or len(agent.seeds) == 1:
        return
    if (why := _obstacle(agent, collector)) is not None:
        raise ValueError(
            f"stop_return={stop_return:g}: learners that have reached it leave the others, but {why}: leave it out"
        )


def takes_its_part(agent: Agent, collector: Collector) -> bool:
    """Return whether each of several learners takes its own part of the steps, and leaves the others then.

    From rollouts of a number of steps all learn as much, but for the steps that begin episodes; they stay together.
    """
    return len(agent.seeds) > 1 and isinstance(agent.cadence, EpisodeCadence) and _obstacle(agent, collector) is None


def _obstacle(agent: Agent, collector: Collector) -> str | None:
    """Return why no learner can leave the others; None: each can."""
    if agent.spaces is None:
        return "an agent of your own networks cannot be parted"
    return None if can_keep(collector) else f"the rows of {collector.adapter.name} cannot be held while others go on"
