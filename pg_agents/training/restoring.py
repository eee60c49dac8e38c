"""A run in the state of a checkpoint: its counts, its evaluations, and the collector of those learners that go on."""

from __future__ import annotations

import numpy as np

from pg_agents.data.state import State
from pg_agents.seeding import Purpose, spawn
from pg_agents.training.ranks import seed_of_rank
from pg_agents.training.run import Run

EXACTLY, ANEW = "exactly", "with new episodes"  # the ways in which a run goes on


def restore_run(run: Run, before: State) -> str:
    """Put a run into a state of `run_state`, besides its agent; return the way."""
    run.progress.set_state(before["progress"], run.collector.device)
    run.evaluations.set_state(before["evaluations"])
    run.audits.longest = before["audited"]
    run.resumed_from = dict(before["resumed_from"])
    if run.total_steps <= before["plan"]["total_steps"]:
        run.stopped = before["stopped"]
    return _restore_collector(run, before)


def _restore_collector(run: Run, before: State) -> str:
    """Let a run collect from where it was, the rollouts of those learners that have not finished; return the way."""
    learners, exactly, now = run.progress.learners, before["collector"] is not None, [0]
    if learners is not None:
        then = before.get("going_on", np.flatnonzero(~learners.finished).tolist())
        if run.active.each_its_part:
            learners.go_on(run.total_steps)
            learners.complete(run.total_steps, run.seconds)
        now = np.flatnonzero(~learners.finished).tolist()
        if not now:  # nothing more is collected
            run.go_on_without_finished()
            return EXACTLY
        exactly = exactly and {*now} <= {*then}
        run.keep(then if exactly else now)
    if run.steps == 0:  # a new collector is at the beginning
        return EXACTLY
    if not exactly:
        run.collector.restart(_seeds_after(run))
        return ANEW
    run.collector.set_state(before["collector"])
    run.keep(now)
    return EXACTLY


def _seeds_after(run: Run) -> list[int]:
    """Return the seeds of new episodes; of several learners that go on, those that each would have alone."""
    if (learners := run.progress.learners) is None:
        return [spawn(seed_of_rank(run.plan.seed, run.ranks), Purpose.RESTART) + run.steps]
    steps, seeds = learners.steps, run.agent.seeds
    return [spawn(seeds[learner], Purpose.RESTART) + int(steps[learner]) for learner in run.active.learners]
