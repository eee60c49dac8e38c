"""What a run writes to its folder and shows in the terminal."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TextIO

import gymnasium as gym
from gymnasium.vector import VectorEnv

from pg_agents.at_once import leave
from pg_agents.data.rollout import Rollout
from pg_agents.training.appended import Value
from pg_agents.training.batches import place_of_learners
from pg_agents.training.checkpointing import Checkpoints, Following, Saving, has_checkpoints
from pg_agents.training.going_on import Beside, Opened
from pg_agents.training.known import known_lines, known_returns
from pg_agents.training.learners_progress import folder_of
from pg_agents.training.learners_reports import LearnersReports
from pg_agents.training.over_seeds import STACKED, over_seeds
from pg_agents.training.probes import Probe, default_probes, found_by, text_table
from pg_agents.training.progress_bar import ProgressBar, stream
from pg_agents.training.run import Run
from pg_agents.training.run_files import AGENT, BEST, writable
from pg_agents.training.signals import Signals
from pg_agents.training.trackers.tracking import Tracking
from pg_agents.training.writers import RunWriter

SAME_PROMPTS = "samples/same_prompts"  # texts of the untrained and of the trained agent


@dataclass
class Reports:
    """Writes rows of metrics, checkpoints, the best agent and the last one to a run folder, and updates the bar.

    Args:
        writer: writes the run folder; None: nothing is written.
        learners: writes the folders of several learners; None: there are none.
        checkpoints: writes checkpoints; None: there are none.
        probes: functions of the run whose values are added to every row of metrics.
        bar: the progress bar.
        decode: token ids → text; None if the environment has no such method.
        tracking: sends what `writer` writes to a tracker; None: there is none.
    """

    writer: RunWriter | None
    learners: LearnersReports | None
    checkpoints: Checkpoints | Following | None
    probes: Sequence[Probe]
    bar: ProgressBar
    decode: Callable[[Sequence[int]], str] | None
    tracking: Tracking | None = None

    def begin(self, run: Run, config: Mapping[str, Any]) -> None:
        """Write the run's configuration and a first checkpoint; of a run that goes on only what is new.

        Raises:
            ValueError: they cannot be written, so that the run must not begin.
        """
        if self.writer and run.resumed_from:
            self.writer.goes_on(config, run.steps)
        elif self.writer:
            self.writer.config(config)
        if self.learners:
            self.learners.begin(run, config)
        if isinstance(self.checkpoints, Following):
            self.checkpoints.begin(run)
        elif self.checkpoints:
            with writable("run_dir", self.checkpoints.writer.run_dir):
                self.checkpoints.begin(run)

    def track(self, config: Mapping[str, Any]) -> None:
        """Begin a run at the tracker, if there is one, or go on with it; UserError if it fails."""
        if self.tracking:
            self.say(f"tracked  {self.tracking.begin(config)}")

    def say(self, line: str) -> None:
        """Print a line, if progress is shown."""
        self.bar.write(line)

    def say_stopped(self, run: Run) -> None:
        """Say why the run was stopped, if it was."""
        if run.stopped:
            self.say(f"stopped  {run.stopped}")

    def say_ended(self, run: Run, signals: Signals) -> None:
        """Say where a run was ended by a signal, and how it goes on; the command line says it itself."""
        if signals.number is None or leave in signals.former.values():
            return
        text = f"stopped  by {signals.name} {self.where(run)}"
        if self.writer is None:
            text += "; nothing is saved, as there is no run_dir"
        elif self.checkpoints and self.checkpoints.good >= 0:
            text += f"; train(…, run_dir={str(self.writer.run_dir)!r}, resume=True) goes on"
        self.say(text)

    def before_learning(self, run: Run, rollout: Rollout) -> None:
        """Write the untrained agent's evaluation and texts."""
        self._write(run, self._evaluated(run) | self._texts(run, rollout))
        if self.learners:
            self.learners.write(run, [])

    def after_update(self, run: Run) -> None:
        """Evaluate and write a row of metrics if they are due, and update the progress bar."""
        row, of_learners = self._evaluated(run), list[dict[str, Value]]()
        if run.row_is_due:
            of_learners = self.learners.rows(run) if self.learners else []
            row |= run.progress.row()
            for probe in self.probes:
                row |= found_by(probe, run)
            if run.over and run.steps not in run.evaluations.means:  # a probe has stopped the run
                row |= self._evaluated(run)
        self.bar.show(run, row)
        self._write(run, row)
        if self.learners:
            self.learners.write(run, of_learners)
        if self.checkpoints:
            self.checkpoints.after_update(run)

    def after_learning(self, run: Run, make_rollout: Callable[[], Rollout]) -> None:
        """Write the trained agent's texts in `make_rollout()`, which has the prompts of `before_learning`."""
        if self.writer and run.progress.of_tokens:
            self._write(run, self._texts(run, make_rollout()))

    def interrupted(self, run: Run) -> None:
        """Save a checkpoint between two updates, as the run ends here."""
        if self.checkpoints:
            self.checkpoints.try_to_save(run)

    def where(self, run: Run) -> str:
        """Return at which step a run was ended by a signal, and what of it is saved, as text."""
        text = f"at step {run.steps:,}"
        if self.writer and AGENT not in run.not_written and os.path.isdir(path := self.writer.run_dir / AGENT):
            text += f"; the agent is saved in {path}"
        if self.checkpoints and self.checkpoints.good >= 0:
            text += f"; the newest checkpoint is of step {self.checkpoints.good:,}"
        return text

    def close(self, run: Run) -> None:
        """Save the agent and write the summary, however the run ended."""
        if self.learners:
            self.learners.close(run)
        if self.writer:
            self._save(run, AGENT)
            summary = asdict(run.summary)
            several = over_seeds(run.agent.seeds, STACKED, summary["learners"]) if summary["learners"] else {}
            self.writer.score(summary | several)
            self.writer.close(asdict(run.summary) | several)  # which says whether the scores could be written
            if self.tracking:
                self.tracking.close(summary | several)

    def _evaluated(self, run: Run) -> dict[str, Value]:
        """Evaluate if that is due, or the run is over; return the metrics."""
        learners = run.progress.learners
        if not run.evaluations.is_due(run.steps, last=run.over):
            return {}
        of_learners = None if learners is None else learners.steps.tolist()
        return run.evaluations(run.agent, run.steps, of_learners, last=run.over)

    def _texts(self, run: Run, rollout: Rollout) -> dict[str, Value]:
        table = text_table(rollout, self.decode) if run.progress.of_tokens else ""
        return {SAME_PROMPTS: table} if table else {}

    def _write(self, run: Run, row: Mapping[str, Value]) -> None:
        if self.writer and row:
            self.writer.write(run.steps, row)
            if self.tracking:
                self.tracking.write(run.steps, row)
            if run.evaluations.improved and "eval/ep_rew_mean" in row:
                self._save(run, BEST)

    def _save(self, run: Run, name: str) -> None:
        if self.writer:
            with self.writer.unwritten.tolerated(name):
                run.agent.save(self.writer.run_dir / name)
                self.writer.unwritten.written(name)


def make_reports(
    run: Run,
    env: gym.Env | VectorEnv,
    found: Opened | Beside | None,
    probes: Sequence[Probe],
    progress: bool | TextIO,
    saving: Saving,
) -> Reports:
    """Return the reports of a run; if it has a folder, the agent's default probes precede `probes`."""
    if run.ranks.number:  # rank 0 alone shows how far the run has come
        progress, probes = False, ()
    bar = ProgressBar(stream(progress), run.total_steps, partial(known_returns, env))
    decode = getattr(env.unwrapped, "decode", None)
    if not isinstance(found, Opened):
        following = Following(found.checkpoint is None) if found and saving.keep else None
        return Reports(None, None, following, probes, bar, decode)
    run.not_written = found.writer.unwritten.reasons
    before = found.checkpoint
    since = () if before is None or found.learner is not None else (before.start, frozenset(before.agent.networks))
    if found.learner is not None and not saving.keep:
        raise ValueError("keep_checkpoints: a learner that goes on alone needs checkpoints of its own, got 0")
    known = known_lines(env)
    learners, gone = _reports_of_learners(run, found.writer, known)
    checkpoints = Checkpoints(found.writer, saving.every, saving.keep, *since) if saving.keep else None
    if checkpoints and learners:
        checkpoints.first = learners.save_best
    probes = [lambda run: known, *default_probes(run.agent, env), *probes]
    tracking = None if saving.track is None else Tracking(saving.track, found.writer.run_dir)
    reports = Reports(found.writer, learners, checkpoints, probes, bar, decode, tracking)
    if gone:
        reports.say(f"learners {', '.join(gone)} went on alone: what is in these folders stays as it is")
    return reports


def _reports_of_learners(
    run: Run, writer: RunWriter, known: Mapping[str, Value]
) -> tuple[LearnersReports | None, list[str]]:
    """Return the reports of several learners, and the folders of those who have gone on alone.

    There are none of one, and of learners made of the user's networks.
    """
    if run.progress.learners is None or run.agent.spaces is None:
        return None, []
    names = list(map(folder_of, run.agent.seeds))
    gone = [name for name in names if has_checkpoints(place_of_learners(writer.run_dir) / name)]
    writer.divide(name for name in names if name not in gone)
    return LearnersReports({i: writer.within[name] for i, name in enumerate(names) if name not in gone}, known), gone
