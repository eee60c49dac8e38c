"""`pg-agents tune`: trials, in processes if it is asked for, the last runs of the best one, and the results' files."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from pg_agents.cli.environments import parse_arguments, with_tuned_env
from pg_agents.cli.evaluating import check_whole, usable_device
from pg_agents.cli.options import PROGRAM
from pg_agents.cli.parallel import in_processes
from pg_agents.cli.terminal import say
from pg_agents.cli.tuning_options import TuneCommand, TuneOptions
from pg_agents.cli.tuning_progress import Progress
from pg_agents.cli.tuning_report import TRIALS, lines, write_results
from pg_agents.errors import Terminated, UnsupportedSpaceError, UserError
from pg_agents.shown import shortened
from pg_agents.spaces.environments import NUM_ENVS
from pg_agents.spaces.wrappers import wrappers_of
from pg_agents.training.run_files import writable
from pg_agents.training.tuned import TUNED as SHIPPED
from pg_agents.training.tuned import Tuned
from pg_agents.training.writers import fresh_run_dir
from pg_agents.tuning.results import FIRST_SEED, FRESH, Fresh, Row, best_of, fresh_seeds, rows_of
from pg_agents.tuning.space import DEFAULTS, TUNED, Space, make_space
from pg_agents.tuning.study import FAILURES, JOURNAL, Budget, begin, import_optuna, open_study, run_trials, settings_of
from pg_agents.tuning.task import Task, refused_batch, returns_of

STEPS = 100_000  # that a learner learns from, unless tuned settings or somebody says how many
BUDGET = "30m"
AGAIN = 2  # settings that run again with fresh seeds: the best, and the best of those that were known
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def run_tuning(command: TuneCommand) -> None:
    """Try settings, run the best ones again with fresh seeds, write the results and print them."""
    run, start = command.run, time.time()
    import_optuna()
    _check(command)
    torch.set_num_threads(1)
    task, known = _task(command)
    try:
        alone = refused_batch(task, known[DEFAULTS])
    except UnsupportedSpaceError as error:
        raise UserError(f"env: {task.agent} cannot be trained in {task.env}: {error}") from error
    task = replace(task, together=alone is None)
    space = make_space(task, known)
    until = None if run.budget is None and run.trials is not None else start + seconds_of(run.budget or BUDGET)
    budget = Budget(until, run.trials, AGAIN * FRESH / run.seeds / min(run.jobs, AGAIN))
    with _study(command, task) as (study, storage), _out(run, f"tune-{task.agent}-{task.env}") as out:
        begin(study, space)
        if not run.quiet:
            say(_heading(task, space, alone, until))
        try:
            _try(study, space, budget, run.jobs, storage, quiet=run.quiet)
            write_results(out, study, task, [])
            found = _fresh(task, rows_of(study), run.jobs)
        except (KeyboardInterrupt, Terminated) as error:
            again = f"{PROGRAM} {shlex.join(sys.argv[1:])}"
            more = f"; it goes on: {again}" if run.storage else ""
            write_results(out, study, task, [])
            raise type(error)(f"the trials so far are in {out / TRIALS}{more}") from error
        write_results(out, study, task, found)
        if not run.quiet:
            say(lines(out, task, rows_of(study), found, time.time() - start))
        if best_of(rows_of(study)) is None:
            raise UserError(f"none of the trials has ended well; {out / TRIALS} says why, or give a longer --budget")


def _check(command: TuneCommand) -> None:
    run = command.run
    for name in ("trials", "total_steps", "num_envs", "jobs"):
        check_whole(name, getattr(run, name))
    check_whole("seeds", run.seeds, 2)
    check_whole("seed", run.seed, 0)
    usable_device(run.device)
    if run.budget is not None:
        seconds_of(run.budget)


def seconds_of(text: str) -> float:
    """Return the seconds of a time such as 90s, 30m or 1.5h.

    Raises:
        UserError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    if match is None or not float(match[1]):
        raise UserError(f"budget must be a time such as 90s, 30m or 2h, got {text!r}")
    return float(match[1]) * UNITS[match[2]]


def _task(command: TuneCommand) -> tuple[Task, dict[str, Tuned]]:
    """Return what is tuned, and the settings of it that are known."""
    run, agent = command.run, command.agent.name
    shipped = SHIPPED.get((agent, run.env))
    made = {"env_arg": run.env_arg, "wrapper": run.wrapper}
    if shipped is not None:
        made = with_tuned_env(run.env, run.env_arg, run.wrapper, shipped)
    env_args, wrappers = parse_arguments(made["env_arg"]), tuple(map(str, wrappers_of(made["wrapper"])))
    task = Task(
        agent=agent,
        env=run.env,
        seeds=tuple(range(FIRST_SEED, FIRST_SEED + run.seeds)),
        total_steps=run.total_steps or (STEPS if shipped is None else shipped.total_steps),
        fixed=command.arguments,
        num_envs=run.num_envs,
        env_args=env_args,
        eval_env_args=parse_arguments(run.eval_env_arg, "eval_env_arg"),
        wrappers=wrappers,
        step_timeout=run.step_timeout,
        device=run.device,
    )
    known = {DEFAULTS: task.settings(run.num_envs or NUM_ENVS, command.arguments)}
    if shipped is not None:
        known[TUNED] = task.settings(run.num_envs or shipped.num_envs, shipped.arguments | command.arguments)
    return task, known


@contextmanager
def _study(command: TuneCommand, task: Task) -> Iterator[tuple[Any, str | None]]:
    """A context with the study, and with where processes find it: nowhere if there is but one and no storage."""
    run, name = command.run, f"{task.agent} in {task.env}"
    with TemporaryDirectory(prefix="pg_agents-") as folder:
        storage = run.storage
        if storage is None and run.jobs > 1:
            storage = f"{JOURNAL}{Path(folder) / 'trials.log'}"
        yield open_study(storage, name, run.seed), storage


@contextmanager
def _out(run: TuneOptions, name: str) -> Iterator[Path]:
    """A context with the folder for results: a new one, or that of a study that goes on; an empty one is removed."""
    if run.out is None:
        out = fresh_run_dir(name)
    else:
        out = run.out
        with writable("out", out):
            if out.exists() and (not out.is_dir() or any(out.iterdir())):
                _check_goes_on(out, run.storage)
            out.mkdir(parents=True, exist_ok=True)
    try:
        yield out
    finally:
        if not any(out.iterdir()):
            out.rmdir()


def _check_goes_on(out: Path, storage: str | None) -> None:
    if not (out / TRIALS).is_file():
        raise UserError(f"out: {out} exists and holds no results of tuning; give a new folder")
    if storage is None:
        raise UserError(f"out: {out} holds results, and without --storage tuning does not go on; give a new folder")


@dataclass(frozen=True)
class Worker:
    """A process that tries settings, one after the other.

    Attributes:
        space: where they are looked for.
        budget: how long.
        study: the study, if it is in this process.
        storage: where it is, if not.
        name: the study's.
    """

    space: Space
    budget: Budget
    study: Any
    storage: str | None
    name: str


def work(worker: Worker) -> None:
    """Try settings until the budget allows no other."""
    torch.set_num_threads(1)
    study = open_study(worker.storage, worker.name) if worker.study is None else worker.study
    run_trials(study, worker.space, worker.budget)


def _try(study: Any, space: Space, budget: Budget, jobs: int, storage: str | None, *, quiet: bool) -> None:  # noqa: ANN401
    alone = study if jobs == 1 else None
    workers = [Worker(space, budget, alone, storage, study.study_name)] * jobs
    with Progress(study, budget, quiet) as progress:
        in_processes(work, workers, jobs, progress.show)


@dataclass(frozen=True)
class LastRuns:
    """Runs of a trial's settings with fresh seeds."""

    task: Task
    settings: Tuned
    row: Row


def run_again(job: LastRuns) -> Fresh:
    """Return what a trial's settings return with fresh seeds; nothing if they fail."""
    torch.set_num_threads(1)
    seeds = fresh_seeds(job.task.seeds)
    try:
        returns = returns_of(job.task, job.settings, seeds, lambda point, returns: None)
    except FAILURES as error:
        return Fresh(job.row, seeds, [], shortened(f"{type(error).__name__}: {error}", 300))
    return Fresh(job.row, seeds, returns)


def _fresh(task: Task, rows: list[Row], jobs: int) -> list[Fresh]:
    """Return the best trial with fresh seeds, and the best of those of known settings if that is another one."""
    best, known = best_of(rows), best_of(rows, (DEFAULTS, TUNED))
    chosen = [row for row in (best, known) if row is not None]
    if best is known:
        chosen = chosen[:1]
    work = [LastRuns(task, settings_of(row["settings"]), row) for row in chosen]
    return in_processes(run_again, work, min(jobs, len(work)), lambda: None) if work else []


def _heading(task: Task, space: Space, alone: str | None, until: float | None) -> str:
    way = f"{len(task.seeds)} seeds, {task.total_steps:,} steps each"
    way += " (as one batch)" if alone is None else f" (one after the other: {alone})"
    end = "" if until is None else f"\nends     {time.strftime('%Y-%m-%d %H:%M', time.localtime(until))}"
    looked = ", ".join(one.name for one in space.dimensions) or "nothing"
    return f"trials   {task.agent} in {task.env}: {way}\nlooks    for {looked}{end}"
