"""Checkpoints of a run: when they are written, and what of the run is in them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pg_agents.agents.base import Agent
from pg_agents.checkpoints.agent_state import AgentState, FrozenParameters, agent_state
from pg_agents.checkpoints.store import checkpoints_in, keep_newest, write_checkpoint, write_start
from pg_agents.checks import whole_number
from pg_agents.data.state import State
from pg_agents.training.ranks import largest, states_of_ranks
from pg_agents.training.run import Run
from pg_agents.training.trackers.tracking import check_tracker
from pg_agents.training.writers import RunWriter

FOLDER = "checkpoints"  # in a run's folder
SECONDS = 60.0  # between two checkpoints, unless another interval is given …
TIMES = 50  # … or, where one takes longer than 1.2 s, so many times as long: 2 % of the time
KEPT = 3


@dataclass(frozen=True)
class Interval:
    """How often checkpoints are written.

    Attributes:
        steps: steps between them; None: it is a matter of time.
        seconds: seconds between them; None: `SECONDS`, or `TIMES` the time that the last one took, if that is longer.
    """

    steps: int | None = None
    seconds: float | None = None

    @property
    def text(self) -> int | str | None:
        """The interval as `interval` reads it."""
        return self.steps if self.seconds is None else f"{self.seconds:g}s"


def interval(given: int | str | None) -> Interval:
    """Return the interval that is written as a number of steps, or as seconds: "60s".

    Raises:
        ValueError: it is neither.
    """
    wrong = f'checkpoint_every must be a number of steps, or of seconds like "60s", got {given!r}'
    if given is None:
        return Interval()
    if not isinstance(given, str):
        return Interval(steps=whole_number("checkpoint_every", given, 1))
    try:
        if given.endswith("s") and 0 < (seconds := float(given[:-1])) < math.inf:
            return Interval(seconds=seconds)
        if (steps := int(given)) > 0:
            return Interval(steps=steps)
    except ValueError:
        pass
    raise ValueError(wrong)


@dataclass(frozen=True)
class Saving:
    """How often checkpoints are written, how many are kept (0: none is written), and which tracker is told."""

    every: Interval
    keep: int
    track: str | None = None


def make_saving(every: int | str | None, keep: int, track: str | None, run_dir: str | Path | None) -> Saving:
    """Return what is saved of a run, and sent to a tracker.

    Raises:
        ValueError: an argument out of range; UserError if there is no such tracker, or its package is missing.
    """
    check_tracker(track, run_dir)
    return Saving(interval(every), whole_number("keep_checkpoints", keep), track)


@dataclass
class Checkpoints:
    """Writes the checkpoints of a run that are due, and keeps the newest.

    Args:
        writer: writes the run's folder.
        every: how often.
        keep: how many are kept.
        start: the agent with which the run began, by its SHA-256; None: the run begins now.
        changed: of a run that goes on, parameters that are not as in that agent, by name.
        first: is called before each is written.
    """

    writer: RunWriter
    every: Interval
    keep: int
    start: str | None = None
    changed: Container[str] = ()
    first: Callable[[Agent], None] | None = None
    frozen: FrozenParameters = field(init=False)
    written: float = field(default_factory=time.monotonic)  # when the latest one was
    cost: float = 0.0  # seconds that it took
    steps: int = -1  # of the latest one, written or not
    good: int = -1  # of the latest one that was written

    @property
    def folder(self) -> Path:
        """The folder of the run's checkpoints."""
        return self.writer.run_dir / FOLDER

    def begin(self, run: Run) -> None:
        """Save the agent with which the run begins, and a first checkpoint; of a run that goes on there are both."""
        self.frozen = FrozenParameters(run.agent, self.changed)
        if self.start is None:
            self.start = write_start(self.folder, run.agent)
            self.save(run)
        self.steps = self.good = run.steps

    def after_update(self, run: Run) -> None:
        """Save a checkpoint if one is due; if it cannot be written, the next one is tried when that is due."""
        self._save_if(run, self._is_due(run) and self.good != run.steps)

    def try_to_save(self, run: Run) -> None:
        """Save a checkpoint, unless there is one already or it cannot be written."""
        self._save_if(run, self.good != run.steps)

    def _save_if(self, run: Run, due: bool) -> None:
        if any(largest(run.ranks, int(due))):
            with self.writer.unwritten.tolerated(FOLDER):
                self.save(run)
                self.writer.unwritten.written(FOLDER)

    def _is_due(self, run: Run) -> bool:
        if run.over or (every := self.every.steps) is not None and run.steps // every > self.steps // every:
            return True
        if self.every.steps is not None:
            return False
        seconds = self.every.seconds or max(SECONDS, TIMES * self.cost)
        return time.monotonic() - self.written >= seconds

    def save(self, run: Run) -> None:
        """Save a checkpoint of the run as it is now, between two updates.

        Raises:
            OSError: the disk is full, read-only or gone; the checkpoints before are as they were.
        """
        assert self.start is not None
        began = time.monotonic()
        try:
            collectors, agent = of_all_ranks(run, self.frozen)
            if self.first is not None:
                self.first(run.agent)
            state = run_state(run, collectors, self.writer.position())
            path = write_checkpoint(self.folder, run.steps, agent, state, self.start)
            self.good = run.steps
            keep_newest(path, self.keep)
        finally:
            self.steps, self.written = run.steps, time.monotonic()
            self.cost = self.written - began


class Following:
    """What a rank that writes nothing does where rank 0 writes a checkpoint: it gives what it has of the run's state.

    Args:
        begins: whether the run begins now; it goes on otherwise.
    """

    def __init__(self, begins: bool) -> None:
        self.begins, self.good = begins, -1

    def begin(self, run: Run) -> None:
        """Give the state for a first checkpoint."""
        if self.begins:
            of_all_ranks(run, FrozenParameters(run.agent))

    def after_update(self, run: Run) -> None:
        """Give the state, if rank 0 writes a checkpoint."""
        if any(largest(run.ranks, 0)):
            of_all_ranks(run, FrozenParameters(run.agent))

    try_to_save = after_update


def of_all_ranks(run: Run, frozen: FrozenParameters) -> tuple[list[State], AgentState]:
    """Return the states of all ranks' collectors, and the agent's state, whole on rank 0; all ranks call it."""
    return states_of_ranks(run.collector.get_state(), run.ranks), agent_state(run.agent, frozen)


def has_checkpoints(run_dir: Path) -> bool:
    """Return whether there are checkpoints in a run's folder, sound or not."""
    return any(checkpoints_in(run_dir / FOLDER))


def run_state(run: Run, collectors: Sequence[State], position: State) -> State:
    """Return the state of a run, besides its agent's, between two updates.

    Args:
        run: the run.
        collectors: the states of the collectors of all ranks.
        position: how much of its folder has been written; see `RunWriter.position`.
    """
    return {
        "env": run.collector.adapter.name,
        "num_envs": run.num_envs,
        "seeds": [*run.agent.seeds],
        "going_on": [*run.active.learners],
        "arguments": {name: str(value) for name, value in run.agent.arguments.items()},
        "plan": asdict(run.plan),
        "progress": run.progress.get_state(),
        "evaluations": run.evaluations.get_state(),
        "audited": run.audits.longest,
        "stopped": run.stopped,
        "resumed_from": list(map(list, run.resumed_from.items())),
        "collector": collectors[0],
        "others": [*collectors[1:]],
        "position": position,
    }
