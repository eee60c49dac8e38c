"""A run: where it is, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from pg_agents.agents.base import Agent
from pg_agents.collection.collectors import Collector
from pg_agents.data.rollout import Rollout
from pg_agents.training.evaluation import Evaluations
from pg_agents.training.plan import Plan
from pg_agents.training.progress import RunProgress


@dataclass(frozen=True)
class Summary:
    """What a run came to, or has come to so far.

    It is complete where `stopped` and `cut_off` are None.

    Attributes:
        agent: its class's name, as on the command line.
        env: the environment's id.
        seed: of the run.
        total_steps: valid transitions learned from.
        episodes: that ended.
        mean_return_last_100: of the last of them, at least 100 where there are so many: all that ended in the newest
            rollouts, of as few as hold 100 together; None where none ended.
        recent_episodes: how many these are.
        wall_seconds: of collecting and learning; the audit, evaluations and what is written are left out.
        steps_per_second: total_steps / wall_seconds.
        stop_return: where the run was to end; None: nowhere.
        stopped: why it was stopped, by `stop_return` or a probe, after total_steps steps and wall_seconds: it ended as
            others do, with its last evaluation; None: it was not.
        cut_off: the error, or the interrupt, that ended it before it had finished; None: none did.
        evaluations: mean returns by the steps after which the agent was evaluated.
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


@dataclass
class Run:
    """A run as it is now: what probes are given, and all that there is to know of it.

    Attributes:
        agent: that learns.
        collector: of its rollouts, with the environment and the generators.
        plan: what is to be done.
        evaluations: on the way.
        progress: what has happened so far.
        stopped: why it ends, or ended, before all steps were taken; None: it does not.
        cut_off: the error or the interrupt that ended it; None: none did.
        rollout: the newest, from which the agent has learned.
    """

    agent: Agent
    collector: Collector
    plan: Plan
    evaluations: Evaluations
    progress: RunProgress
    stopped: str | None = None
    cut_off: str | None = None
    rollout: Rollout = field(init=False, repr=False)  # from the first on

    def stop(self, reason: str) -> None:
        """End the run after this update as others end: a last evaluation, the agent saved, files closed.

        Args:
            reason: is said at the end, and stands in summary.json and in `Summary.stopped`; that of a first call stays.

        Raises:
            ValueError: it is no text, or an empty one.
        """
        if not isinstance(reason, str) or not reason:
            raise ValueError(f"reason must be a text that says why the run is to stop, got {reason!r}")
        self.stopped = self.stopped or reason

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
        """Whether there is nothing more to learn from."""
        return self.stopped is not None or self.steps >= self.total_steps

    @property
    def row_is_due(self) -> bool:
        """Whether a row of metrics is to be written: `log_every` steps have passed, or the run is over."""
        every, (before, _) = self.plan.log_every, self.progress.row_before
        return self.over or self.steps >= (before // every + 1) * every

    @property
    def summary(self) -> Summary:
        """What the run has come to."""
        progress = self.progress
        return Summary(
            agent=self.agent.name,
            env=self.collector.adapter.name,
            seed=self.plan.seed,
            total_steps=progress.steps,
            episodes=progress.episodes,
            mean_return_last_100=progress.mean_return,
            recent_episodes=progress.recent_episodes,
            wall_seconds=progress.seconds,
            steps_per_second=progress.steps / progress.seconds if progress.seconds else 0.0,
            stop_return=self.plan.stop_return,
            stopped=self.stopped,
            cut_off=self.cut_off,
            evaluations=dict(self.evaluations.means),
        )
