"""One of several learners goes on alone: its part of the newest checkpoint of the run that it belongs to."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pg_agents.agents import Agent, load
from pg_agents.checkpoints.agent_state import FrozenParameters, agent_state, set_agent_state
from pg_agents.checkpoints.store import START, Checkpoint, newest_good, read_start
from pg_agents.data.state import State
from pg_agents.errors import SavedFilesError
from pg_agents.shown import shown
from pg_agents.training.batches import run_with
from pg_agents.training.checkpointing import FOLDER, has_checkpoints
from pg_agents.training.learners_progress import LearnersProgress, folder_of
from pg_agents.training.learners_reports import share
from pg_agents.training.run import stop_reason
from pg_agents.training.run_files import NOTHING
from pg_agents.training.writers import is_written

UNFIT = LookupError, TypeError, ValueError, RuntimeError, AttributeError
NAME = re.compile(r"seed-(\d+)")


@dataclass(frozen=True)
class Apart:
    """A learner that has not gone on alone yet.

    Attributes:
        parent: the folder of the run of all.
        seed: of the learner.
    """

    parent: Path
    seed: int

    def agent(self) -> Agent:
        """Return the learner as it was when the run began; what it has learned is in the checkpoints.

        Raises:
            SavedFilesError: the agent with which the run began is damaged.
        """
        whole: Agent = load(self.parent / FOLDER / START)
        return whole.learner([*whole.seeds].index(self.seed))

    def newest(self) -> tuple[Checkpoint, int]:
        """Return the learner's part of the newest checkpoint that is sound, and its place among the learners.

        What the collector keeps is still that of all learners (see `state_of_learner`).

        Raises:
            SavedFilesError: all checkpoints are damaged, or the agent with which the run began is.
            ValueError: the run of all is going on, or has no such learner.
        """
        if is_written(self.parent):
            raise ValueError(f"run_dir: the run in {self.parent} goes on with this learner; wait for its end")
        checkpoint, wrong = newest_good(self.parent / FOLDER)
        if checkpoint is None:
            raise SavedFilesError(f"{wrong[0]}, and there is no other that is not; begin the run again")
        for text in wrong:
            warnings.warn(f"{text}; the one before is used", RuntimeWarning, stacklevel=4)
        seeds = checkpoint.run.get("seeds", [])
        if self.seed not in seeds:
            raise ValueError(f"run_dir: the run in {self.parent} has no learner of seed {self.seed}, it has {seeds}")
        try:
            return self._part(checkpoint, seeds.index(self.seed)), seeds.index(self.seed)
        except SavedFilesError:
            raise
        except UNFIT as error:
            where = f"path: the checkpoint of step {checkpoint.steps} in {self.parent / FOLDER}"
            raise SavedFilesError(f"{where} does not fit its run ({shown(error, 400)})") from error

    def _part(self, checkpoint: Checkpoint, learner: int) -> Checkpoint:
        folder = self.parent / FOLDER
        whole: Agent = load(folder / START)
        first = next(name for name, _ in whole.named_parameters() if name in checkpoint.agent.networks)
        if whole.get_parameter(first).dtype != (dtype := checkpoint.agent.networks[first].dtype):
            whole.to(dtype)
        set_agent_state(whole, checkpoint.agent, read_start(folder, checkpoint.start))
        one = whole.learner(learner)
        state = agent_state(one, FrozenParameters(one, dict(one.named_parameters())))
        run = _run_of(checkpoint.run, learner, self.seed)
        run["arguments"] = {name: str(value) for name, value in one.arguments.items()}
        return replace(checkpoint, steps=run["progress"]["steps"], agent=state, run=run)


def apart(run_dir: Path) -> Apart | None:
    """Return the learner whose folder this is, in that of a run of several; None: it is none, or has gone on alone."""
    folder, found = run_dir.resolve(), NAME.fullmatch(run_dir.resolve().name)
    if found is None or has_checkpoints(folder):
        return None
    run_of_all = run_with(folder.parent, int(found[1]))
    return Apart(run_of_all, int(found[1])) if has_checkpoints(run_of_all) else None


def _run_of(run: State, learner: int, seed: int) -> dict[str, Any]:
    """Return a learner's part of the state of a run (see `run_state`)."""
    count, plan, evaluations = len(run["seeds"]), run["plan"], run["evaluations"]
    progress, means = _progress_of(run["progress"], learner, count), evaluations["learners"][learner]
    learners = {"reached": run["progress"]["learners"]["finished"]} | dict(run["progress"]["learners"])
    shares = {name: share(plan[name], count, name) for name in ("total_steps", "log_every")}
    every = None if evaluations["every"] is None else share(evaluations["every"], count, "eval_every")
    return {
        **run,
        "num_envs": run["num_envs"] // count,
        "seeds": [seed],
        "plan": {**plan, **shares, "seed": seed},
        "progress": progress,
        "evaluations": {"every": every, "due": _due(means, every), "means": means, "learners": []},
        "stopped": _reason(plan["stop_return"], progress) if learners["reached"][learner] else run["stopped"],
        "going_on": run.get("going_on", np.flatnonzero(~learners["finished"]).tolist()),
        "resumed_from": [[steps // count, way] for steps, way in run["resumed_from"]],
        "position": run["position"].get("within", {}).get(folder_of(seed), NOTHING),
    }


def _due(means: State, every: int | None) -> int:
    """Return after how many steps the next evaluation is due."""
    return (max(steps for steps, _ in means) // every + 1) * every if means and every is not None else 0


def _reason(goal: float, progress: Mapping[str, Any]) -> str:
    """Return why a learner had finished before others."""
    episodes, returns = (sum(ended[i] for ended in progress["recent"]) for i in (0, 1))
    return stop_reason(goal, episodes, returns / episodes)


def _progress_of(progress: State, learner: int, count: int) -> dict[str, Any]:
    """Return a learner's part of the state of a `RunProgress`."""
    learners = LearnersProgress(count)
    learners.set_state(progress["learners"])
    counts, (_, seconds) = learners.of(learner), progress["row_before"]
    newest_first = zip(*(sums.tolist() for sums in learners.newest(learner)), strict=True)
    return {
        **progress,
        "steps": counts.steps,
        "steps_before": counts.steps,
        "episodes": counts.episodes,
        "updates": counts.updates,
        "recent": [list(ended) for ended in newest_first][::-1],
        "metrics": {name: _column(numbers, learner) for name, numbers in progress["metrics"].items()},
        "row_before": [int(learners.steps_of_row[learner]), seconds],
        "learners": None,
    }


def _column(numbers: State, learner: int) -> dict[str, Any]:
    values = numbers["values"]
    return {**numbers, "values": values[:, learner].copy() if values.ndim == 2 else values}
