"""A run that goes on from a checkpoint: its state, and what it says of that."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pg_agents.checkpoints.agent_state import set_agent_state
from pg_agents.checkpoints.machine import differences
from pg_agents.checkpoints.store import Checkpoint, read_start
from pg_agents.collection.learner_state import state_of_learner, why_not
from pg_agents.data.state import State
from pg_agents.errors import SavedFilesError
from pg_agents.schedules import LinearSchedule
from pg_agents.shown import shown
from pg_agents.training.checkpointing import FOLDER
from pg_agents.training.restoring import ANEW, restore_run
from pg_agents.training.run import Run
from pg_agents.training.writers import RunWriter

UNFIT = LookupError, TypeError, ValueError, RuntimeError, AttributeError


@dataclass(frozen=True)
class Opened:
    """A run's folder that is open for writing.

    Attributes:
        writer: writes it.
        checkpoint: from which the run goes on; None: it begins.
        complete: whether the run had ended in order.
        learner: the place among several learners of the one who goes on alone, whose part the checkpoint is; None: it
            is the run's own.
    """

    writer: RunWriter
    checkpoint: Checkpoint | None = None
    complete: bool = False
    learner: int | None = None

    @property
    def checkpoints(self) -> Path:
        """The folder of the run's checkpoints."""
        return self.writer.run_dir / FOLDER

    def goes_on(self, run: Run, say: Callable[[str], None]) -> bool:
        """Put a new run into the state of the checkpoint, if there is one; return whether anything is left to do.

        If there is, what was written after the checkpoint is removed.

        Args:
            run: the run, of the same agent in the same environments.
            say: gets a line that says how it goes on.

        Raises:
            ValueError: the agent, the environment, their number or the seed is not the run's, or the disk is full.
            SavedFilesError: the checkpoint does not fit, or the agent with which the run began is damaged.
        """
        checkpoint = self.checkpoint
        if checkpoint is None:
            return True
        way = _put(run, checkpoint, self.checkpoints, self._of_learner)
        if run.over and self.complete:
            say(f"complete at step {run.steps:,}; to go on, give total_steps above that")
            return False
        if missing := self.writer.go_back(checkpoint.run["position"]):
            text = f"what was written before the checkpoint of step {checkpoint.steps} is missing: {'; '.join(missing)}"
            warnings.warn(text, RuntimeWarning, stacklevel=3)
        different = [*differences(checkpoint.machine), *_other_arguments(run, checkpoint.run)]
        changed = _other_plan(run, checkpoint.run)
        if _scheduled(run) and any(text.startswith("total_steps") for text in changed):
            different += [f"{changed.pop(0)}, which schedules follow"]
        if different:
            text = f"the run goes on with something else, so that its bits may differ: {'; '.join(different)}"
            warnings.warn(text, RuntimeWarning, stacklevel=3)
        run.resumed_from[run.steps] = way
        say(_line(run, way, checkpoint.run, self.learner, other_bits=bool(different)))
        if changed:
            say(f"changed  {'; '.join(changed)}")
        return True

    def _of_learner(self, run: Run, before: State) -> State:
        """Return a run's state with what the collector of a learner that goes on alone has kept."""
        if self.learner is None:
            return before
        kept = state_of_learner(run.collector, before["collector"], self.learner, before["going_on"])
        return {**before, "collector": kept}


@dataclass(frozen=True)
class Beside:
    """A run's folder that another rank has opened.

    Attributes:
        checkpoints: the folder of the run's checkpoints.
        checkpoint: from which the run goes on; None: it begins.
        complete: whether the run had ended in order.
    """

    checkpoints: Path
    checkpoint: Checkpoint | None
    complete: bool

    def goes_on(self, run: Run, say: Callable[[str], None]) -> bool:
        """Put a new run into the state of the checkpoint, as rank 0 does; return whether anything is left to do."""
        if self.checkpoint is not None:
            way = _put(run, self.checkpoint, self.checkpoints)
            if run.over and self.complete:
                return False
            run.resumed_from[run.steps] = way
        return True


def _put(
    run: Run, checkpoint: Checkpoint, folder: Path, changed: Callable[[Run, State], State] = lambda run, before: before
) -> str:
    """Put a run into the state of a checkpoint, and return the way."""
    _check_same(run, checkpoint)
    try:
        set_agent_state(run.agent, checkpoint.agent, _start(checkpoint, folder))
        return restore_run(run, changed(run, _of_rank(run, checkpoint.run)))
    except SavedFilesError:
        raise
    except UNFIT as error:
        where = f"path: the checkpoint of step {checkpoint.steps} in {folder}"
        raise SavedFilesError(f"{where} does not fit this run ({shown(error, 400)})") from error


def _of_rank(run: Run, before: State) -> State:
    """Return a run's state with that of one's own collector; with none if there were more ranks, or fewer."""
    collectors = [before["collector"], *before.get("others", [])]
    same = len(collectors) == run.ranks.count
    return {**before, "collector": collectors[run.ranks.number] if same else None}


def _start(checkpoint: Checkpoint, folder: Path) -> dict:
    """Return the parameters of the agent with which the run began, if the checkpoint does not have all of them."""
    lacking = set(checkpoint.agent.rest["frozen"]) - checkpoint.agent.networks.keys()
    return read_start(folder, checkpoint.start) if lacking else {}


def _check_same(run: Run, checkpoint: Checkpoint) -> None:
    before, adapter = checkpoint.run, run.collector.adapter
    pairs = {
        "agent": (checkpoint.agent.rest["agent"], run.agent.name),
        "env": (before["env"], adapter.name),
        "num_envs": (before["num_envs"], run.num_envs),
        "seed": (before["plan"]["seed"], run.plan.seed),
    }
    for name, (then, now) in pairs.items():
        if then != now:
            raise ValueError(f"{name}: the run to resume has {shown(then)}, got {shown(now)}; give it the same")


def _other_arguments(run: Run, before: State) -> list[str]:
    now = {name: str(value) for name, value in run.agent.arguments.items()}
    then = before["arguments"]
    return [f"{name}: {then.get(name)} then, {value} now" for name, value in now.items() if then.get(name) != value]


def _other_plan(run: Run, before: State) -> list[str]:
    """Return what of a run's plan is another than before, which changes no bits of what is learned."""
    then = before["plan"] | {"eval_every": before["evaluations"]["every"]}
    now = vars(run.plan) | {"eval_every": run.evaluations.every if run.evaluations.env is not None else None}
    if now["eval_every"] is None:
        del now["eval_every"]
    return [f"{name}: {then.get(name)} then, {value} now" for name, value in now.items() if then.get(name) != value]


def _scheduled(run: Run) -> bool:
    """Return whether an option of the agent changes over the run."""
    values = run.agent.arguments.values()
    return any(isinstance(x, LinearSchedule) for v in values for x in (v if isinstance(v, tuple) else (v,)))


def _line(run: Run, way: str, before: State, learner: int | None, *, other_bits: bool) -> str:
    why = "its bits are those of a run that was not stopped" if learner is None else "as with the others"
    if other_bits:
        why = "with all that it had learned; what is another now may change its bits"
    then = 1 + len(before.get("others", []))
    if way == ANEW and learner is None and then != run.ranks.count:
        now = f"{run.ranks.count} now"
        why = f"the running episodes are given up, as {then} process{'es' * (then > 1)} learned together, and {now}"
    elif way == ANEW and learner is None and before["collector"] is not None:
        why = "a learner that had taken its part of fewer steps goes on, too"
    elif way == ANEW and learner is not None and learner not in before["going_on"]:
        why = "it had taken its part of the steps before others"
    elif way == ANEW:
        why = f"the running ones are given up, as {why_not(run.collector)}"
    return f"resumed  from step {run.steps:,} {way}: {why}"
