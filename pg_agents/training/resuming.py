"""Going on with a run that was stopped, from its newest checkpoint that is not damaged."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pg_agents.checkpoints.agent_state import set_agent_state
from pg_agents.checkpoints.machine import differences
from pg_agents.checkpoints.store import Checkpoint, newest_good, read_start
from pg_agents.collection.learner_state import state_of_learner, why_not
from pg_agents.data.state import State
from pg_agents.errors import SavedFilesError
from pg_agents.folders import sweep
from pg_agents.schedules import LinearSchedule
from pg_agents.shown import shown
from pg_agents.training.checkpointing import FOLDER
from pg_agents.training.learner_apart import apart
from pg_agents.training.plan import Plan
from pg_agents.training.restoring import ANEW, restore_run
from pg_agents.training.run import Run
from pg_agents.training.run_files import CONFIG, METRICS, NOTHING, SUMMARY
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
        _check_same(run, checkpoint)
        try:
            set_agent_state(run.agent, checkpoint.agent, _start(checkpoint, self.checkpoints))
            way = restore_run(run, self._of_learner(run, checkpoint.run))
            if run.over and self.complete:
                say(f"complete at step {run.steps:,}; to go on, give total_steps above that")
                return False
        except SavedFilesError:
            raise
        except UNFIT as error:
            where = f"path: the checkpoint of step {checkpoint.steps} in {self.checkpoints}"
            raise SavedFilesError(f"{where} does not fit this run ({shown(error, 400)})") from error
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


@contextmanager
def run_folder(run_dir: str | Path | None, resume: bool) -> Iterator[Opened | None]:
    """A context with a run's folder, open for writing; None without one.

    Args:
        run_dir: a new or empty folder; with `resume` one that holds a run, too.
        resume: go on with the run that is there.

    Raises:
        ValueError: the folder is not empty, is a file, or is being written by another process; with `resume` it holds
            something, but no checkpoint.
        SavedFilesError: all checkpoints are damaged.
    """
    if run_dir is None:
        if resume:
            raise ValueError("resume needs the run's folder: give run_dir=…")
        yield None
        return
    found = resume and Path(run_dir).is_dir() and any(Path(run_dir).iterdir())
    with _writing(run_dir, found) as writer:
        yield _found(writer) if found else Opened(writer)


@contextmanager
def _writing(run_dir: str | Path, found: bool) -> Iterator[RunWriter]:
    if found and not (Path(run_dir) / METRICS).is_file() and not (Path(run_dir) / FOLDER).is_dir():
        raise ValueError(
            f"run_dir: {run_dir} is not empty, and holds no run ({METRICS} is missing); give another folder"
        )
    made = not Path(run_dir).exists()
    writer = RunWriter(run_dir, resume=found)
    try:
        yield writer
    finally:
        writer.leave()
        with suppress(OSError):
            if not found and not (writer.run_dir / CONFIG).exists():  # it has failed before it began
                for name in writer.within:
                    (writer.run_dir / name / METRICS).unlink()
                    (writer.run_dir / name).rmdir()
                (writer.run_dir / METRICS).unlink()
                if made:
                    writer.run_dir.rmdir()


def as_before(
    folder: Opened | None, plan: Plan, log_every: int | None, eval_every: int | None
) -> tuple[Plan, int | None]:
    """Return a plan, and the steps between evaluations, with those of the run before where none were given."""
    if folder is None or folder.checkpoint is None:
        return plan, eval_every
    before = folder.checkpoint.run
    if log_every is None:
        plan = replace(plan, log_every=before["plan"]["log_every"])
    return plan, before["evaluations"]["every"] if eval_every is None else eval_every


def _found(writer: RunWriter) -> Opened:
    """Return what there is to go on from in a run's folder."""
    folder = writer.run_dir / FOLDER
    for swept in filter(Path.is_dir, (writer.run_dir, folder)):
        sweep(swept)
    checkpoint, wrong = newest_good(folder)
    if checkpoint is None and wrong:
        raise SavedFilesError(f"{wrong[0]}, and there is no other that is not; begin the run again in another folder")
    for text in wrong:
        warnings.warn(f"{text}; the one before is used", RuntimeWarning, stacklevel=4)
    if checkpoint is not None:
        return Opened(writer, checkpoint, _ended_in_order(writer.run_dir))
    if (of_several := apart(writer.run_dir)) is not None:
        checkpoint, learner = of_several.newest()
        return Opened(writer, checkpoint, _ended_in_order(writer.run_dir), learner)
    if (writer.run_dir / METRICS).stat().st_size:
        raise ValueError(f"run_dir: {writer.run_dir} holds a run without checkpoints; give another folder")
    writer.go_back(NOTHING)
    return Opened(writer)


def _ended_in_order(run_dir: Path) -> bool:
    try:
        return json.loads((run_dir / SUMMARY).read_text(encoding="utf-8"))["cut_off"] is None
    except (OSError, LookupError, TypeError, ValueError, RecursionError):
        return False


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
    if way == ANEW and learner is None and before["collector"] is not None:
        why = "a learner that had taken its part of fewer steps goes on, too"
    elif way == ANEW and learner is not None and learner not in before["going_on"]:
        why = "it had taken its part of the steps before others"
    elif way == ANEW:
        why = f"the running ones are given up, as {why_not(run.collector)}"
    return f"resumed  from step {run.steps:,} {way}: {why}"
