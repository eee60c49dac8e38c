"""A run in progress, and the summary of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pg_agents.agents.base import Agent
from pg_agents.audit.check import Audits
from pg_agents.collection.collector import Collector
from pg_agents.data.rollout import Rollout
from pg_agents.data.shares import Ranks
from pg_agents.training.active import Active
from pg_agents.training.evaluations import Evaluations, Means
from pg_agents.training.learners_progress import LAST, Counts, folder_of
from pg_agents.training.plan import Plan
from pg_agents.training.progress import RunProgress


@dataclass(frozen=True)
class Summary:
    """The results of a run, final or so far.

    The run took all its steps if `stopped` and `cut_off` are None.

    Attributes:
        agent: the agent's name, as on the command line.
        env: the environment's id.
        seed: the run's seed.
        total_steps: valid transitions learned from.
        episodes: episodes that ended.
        mean_return_last_100: mean return of the last episodes, at least 100 if so many ended: all that ended in the
            newest rollouts, as few rollouts as hold 100 together; None if no episode ended.
        recent_episodes: number of episodes in that mean.
        wall_seconds: seconds of collecting and learning, without the audit, evaluations and writing.
        steps_per_second: total_steps / wall_seconds.
        stop_return: mean return at which the run was to end; None: it had none.
        stopped: why `stop_return` or a probe stopped the run before all its steps; it still ended in order, with a last
            evaluation; None: it was not stopped.
        cut_off: the error or interrupt that ended the run before it had finished; None: there was none.
        evaluations: mean return of each evaluation, by the steps learned from before it.
        resumed_from: steps from which the run was resumed → how: "exactly", or "with new episodes" where the
            environment could not give its state.
        not_written: what the run folder lacks, as it could not be written: "agent", "metrics.jsonl", …
        learners: of several independent learners, the summary of each, in the order of their seeds; [] of one. Counts
            of the run are those of all learners.
    """

    agent: str
    env: str
    seed: int
    total_steps: int
    episodes: int
    mean_return_last_100: float | None
    recent_episodes: int
    wall_seconds: float
    steps_per_second: float
    stop_return: float | None = None
    stopped: str | None = None
    cut_off: str | None = None
    evaluations: dict[int, float] = field(default_factory=dict)
    resumed_from: dict[int, str] = field(default_factory=dict)
    not_written: list[str] = field(default_factory=list)
    learners: list[Summary] = field(default_factory=list)


@dataclass
class Run:
    """A run in progress; probes are called with it.

    Attributes:
        active: the learners that go on.
        collector: collects the rollouts; holds the environment and the generators.
        plan: the run's length, seed, and how often it is logged.
        evaluations: evaluations during the run.
        progress: counts, means and times so far.
        audits: the audits so far.
        resumed_from: as in `Summary`.
        stopped: why the run ends before all its steps; None: it does not.
        cut_off: the error or interrupt that ended the run; None: there was none.
        not_written: what could not be written to the run folder → why.
        rollout: the newest rollout, from which the agent has learned; of several learners from those that went on.
        num_envs: the number of environments, of all learners.
    """

    active: Active
    collector: Collector
    plan: Plan
    evaluations: Evaluations
    progress: RunProgress
    audits: Audits
    resumed_from: dict[int, str] = field(default_factory=dict)
    stopped: str | None = None
    cut_off: str | None = None
    not_written: dict[str, str] = field(default_factory=dict)
    rollout: Rollout = field(init=False, repr=False)  # set with the first rollout
    num_envs: int = field(init=False)

    def __post_init__(self) -> None:
        self.num_envs = self.collector.adapter.num_envs

    @property
    def ranks(self) -> Ranks:
        """The processes that learn together."""
        return self.active.agent.ranks

    @property
    def agent(self) -> Agent:
        """The agent that learns, of all learners."""
        return self.active.whole()

    def stop(self, reason: str) -> None:
        """End the run in order after this update: with a last evaluation, the agent saved and files closed.

        Args:
            reason: printed at the end and kept in `Summary.stopped` and summary.json; a second call does not change it.

        Raises:
            ValueError: `reason` is not a text, or is empty.
        """
        if not isinstance(reason, str) or not reason:
            raise ValueError(f"reason must be a text that says why the run is to stop, got {reason!r}")
        self.stopped = self.stopped or reason

    def let_finish(self) -> None:
        """Stop once the mean return of the newest training episodes, 100 or more, reaches `stop_return`.

        Of several learners each whose own mean reaches it has finished, or who has taken its part of the steps where
        they learn from whole episodes, which are of different lengths; the run ends with the last one.
        """
        goal, progress = self.plan.stop_return, self.progress
        if (learners := progress.learners) is not None:
            before = learners.finished.sum()
            if goal is not None:
                learners.reach(goal, progress.seconds)
            if self.active.each_its_part:
                learners.complete(self.total_steps, progress.seconds)
            if learners.finished.sum() > before:
                self.go_on_without_finished()
        elif goal is None or progress.episodes < LAST or (mean := progress.mean_return) is None:
            return
        elif mean >= goal:
            self.stop(stop_reason(goal, progress.recent_episodes, mean))

    def go_on_without_finished(self) -> None:
        """Go on without the learners that have finished; if there are no others, the run is over."""
        learners = self.progress.learners
        assert learners is not None
        if not learners.finished.all():
            self.keep(np.flatnonzero(~learners.finished).tolist())
        elif learners.reached.all():
            goal, count = self.plan.stop_return, len(learners)
            self.stop(f"stop_return={goal:g}: the newest episodes of each of {count} learners return as much")
            self.active.whole()
            self.active.learners = []

    def keep(self, learners: Sequence[int]) -> None:
        """Go on with some of the learners, or all, that have gone on until now."""
        if len(learners) < len(self.active.learners):
            self.active.keep(learners, self.collector)
            self.audits.policy = self.active.learning.policy

    @property
    def steps(self) -> int:
        """Valid transitions learned from so far."""
        return self.progress.steps

    @property
    def total_steps(self) -> int:
        """Valid transitions to learn from."""
        return self.plan.total_steps

    @property
    def seconds(self) -> float:
        """Seconds of collecting and learning so far."""
        return self.progress.seconds

    @property
    def over(self) -> bool:
        """Whether the run has taken all its steps or was stopped."""
        return self.stopped is not None or self.progress.share(self.total_steps) >= 1

    @property
    def row_is_due(self) -> bool:
        """Whether a row of metrics is due: `log_every` steps have passed, or the run is over."""
        every, (before, _) = self.plan.log_every, self.progress.row_before
        return self.over or self.steps >= (before // every + 1) * every

    @property
    def summary(self) -> Summary:
        """The run's results so far."""
        whole = self._summary(self.progress, self.plan.seed, self.evaluations.means)
        return replace(whole, not_written=sorted(self.not_written), learners=self._summaries_of_learners())

    def _summaries_of_learners(self) -> list[Summary]:
        """Return the summary of each of several learners, as that of a run of its own; [] of one."""
        if (several := self.progress.learners) is None:
            return []
        found, resumed = [], {steps // len(several): way for steps, way in self.resumed_from.items()}
        for i, (seed, means) in enumerate(zip(self.agent.seeds, self.evaluations.learners, strict=True)):
            folder = f"{folder_of(seed)}/"
            lacking = [name.removeprefix(folder) for name in self.not_written if name.startswith(folder)]
            summary = self._summary(several.of(i), seed, means)
            if several.finished[i]:
                summary = _finished(summary, float(several.seconds[i]), reached=bool(several.reached[i]))
            found.append(replace(summary, resumed_from=resumed, not_written=sorted(lacking)))
        return found

    def _summary(self, progress: RunProgress | Counts, seed: int, means: Means) -> Summary:
        seconds = self.progress.seconds
        return Summary(
            agent=self.agent.name,
            env=self.collector.adapter.name,
            seed=seed,
            total_steps=progress.steps,
            episodes=progress.episodes,
            mean_return_last_100=progress.mean_return,
            recent_episodes=progress.recent_episodes,
            wall_seconds=seconds,
            steps_per_second=progress.steps / seconds if seconds else 0.0,
            stop_return=self.plan.stop_return,
            stopped=self.stopped,
            cut_off=self.cut_off,
            evaluations=dict(means),
            resumed_from=dict(self.resumed_from),
        )


def _finished(summary: Summary, seconds: float, *, reached: bool) -> Summary:
    """Return the summary of a learner that had finished after so many seconds, or had `reached` `stop_return`."""
    goal, episodes, mean = summary.stop_return, summary.recent_episodes, summary.mean_return_last_100
    reason = stop_reason(goal, episodes, mean) if reached else None
    speed = summary.total_steps / seconds if seconds else 0.0
    return replace(summary, stopped=reason, cut_off=None, wall_seconds=seconds, steps_per_second=speed)


def stop_reason(goal: float | None, episodes: int, mean: float | None) -> str:
    """Return why a run, or a learner, has ended that has reached its `stop_return`."""
    return f"stop_return={goal:g}: the newest {episodes} episodes return {mean:.6g}"
