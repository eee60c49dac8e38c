"""`pg-agents train --seeds`: several seeds as one batch where they can be one, else each in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pg_envs

from pg_agents.agents import AGENTS
from pg_agents.cli.evaluating import usable_device
from pg_agents.cli.options import ResumeOptions, RunOptions, TrainOptions
from pg_agents.cli.parallel import in_processes
from pg_agents.cli.resuming import carry_out, next_lines, resume_line, take_over
from pg_agents.cli.runs import Made, RunConfig, read_config, run_folder
from pg_agents.cli.seed_process import Seed, train_seed
from pg_agents.cli.seeds_bar import bar
from pg_agents.cli.seeds_results import has_finished, read_json, summarize, table
from pg_agents.cli.terminal import say
from pg_agents.cli.training import check_numbers, make_agent, model_folder, typed_config
from pg_agents.errors import Terminated, UserError
from pg_agents.folders import write_file
from pg_agents.llm import LanguageConfig
from pg_agents.policies import NetworkConfig
from pg_agents.shown import shortened, shown
from pg_agents.spaces.environments import id_for
from pg_agents.training.learners_progress import folder_of
from pg_agents.training.learners_reports import SHARES
from pg_agents.training.loop import make_collector
from pg_agents.training.over_seeds import PROCESSES
from pg_agents.training.run_files import CONFIG, SUMMARY, writable
from pg_agents.training.threads import set_threads


def run_seeds(options: TrainOptions) -> None:
    """Train with several seeds, in the way that is possible, and print the results of each and of all."""
    run, seeds = options.run, options.seeds or []
    usable_device(run.device)
    check_numbers(options)
    config = typed_config(run)
    # The id whose rows have generators of their own, by both ways and however many seeds: the same runs.
    config = replace(config, seed=seeds[0], env=id_for(config.env, 2, config.env_args, config.wrappers))
    set_threads(run.threads)
    with ExitStack() as opened:
        known = _check(options, config)
        made = _stacked(options, config, opened)
        run_dir = opened.enter_context(run_folder(run.run_dir, f"{options.agent.name}-{run.env}"))
        if not isinstance(made, str):
            _say(run, f"seeds    {len(seeds)} seeds stacked in one batch")
            carry_out(made, run_dir, quiet=run.quiet, as_json=run.json)
            return
        jobs = _jobs(run.jobs, seeds)
        count = f"{len(seeds)} seed{'s' * (len(seeds) > 1)} in {jobs} process{'es' * (jobs > 1)}"
        _say(run, f"seeds    {count}: {made}")
        _write_config(run_dir, asdict(config) | _typed(options))
        work = [Seed(options.agent.name, options.arguments, *_own(config, run_dir, seed)) for seed in seeds]
        in_own_processes(work, run_dir, jobs, known, quiet=run.quiet, as_json=run.json)


def _say(run: RunOptions, text: str) -> None:
    if not run.quiet:
        say(text, sys.stderr if run.json else None)


def _check(options: TrainOptions, config: RunConfig) -> pg_envs.KnownReturns:
    """Make everything for one seed, so that what is wrong is said before anything is computed; return known returns."""
    with ExitStack() as opened:
        env, _ = config.open(opened, "group_size" in options.agent.argument_names(), model_folder(options))
        make_agent(options, env)
        return pg_envs.known_returns(env)


# -- one batch ---------------------------------------------------------------------------------------------------------
def _stacked(options: TrainOptions, config: RunConfig, opened: ExitStack) -> Made | str:
    """Return what a run of all seeds as one batch is made of, or why there is none."""
    seeds, name = options.seeds or [], options.agent.name
    if options.run.jobs is not None:
        return "--jobs is given"
    if len(seeds) == 1:
        return "one is no batch"
    if "policy" in options.arguments:
        return "language models cannot be stacked"
    if config.env_args.get("vectorization_mode") == "async":
        return "the environments of each have processes, too"
    whole, groups = of_all(config, len(seeds)), "group_size" in options.agent.argument_names()
    with ExitStack() as tried:
        try:
            env, eval_env = whole.open(tried, groups, None, len(seeds))
            agent = options.agent.for_env(env, seeds=seeds, **options.arguments).to(config.device)
        except ValueError as error:  # one seed alone has been made
            return f"{name} cannot be stacked ({shortened(str(error), 200)})"
        if coupling := make_collector(agent, env, config.seed, config.step_timeout).coupling:
            return f"{config.env} {coupling}"
        opened.enter_context(tried.pop_all())
    return Made(whole, agent, env, eval_env)


def of_all(config: RunConfig, count: int) -> RunConfig:
    """Return the configuration of a run of `count` learners of which each has that of `config`."""
    given = {name: str(getattr(config, name)) for name in SHARES}
    numbers: dict[str, Any] = {name: count * int(text) for name, text in given.items() if text.isdigit()}
    return replace(config, **numbers)


# -- processes ---------------------------------------------------------------------------------------------------------
def in_own_processes(
    work: Sequence[Seed], run_dir: Path, jobs: int, known: pg_envs.KnownReturns, *, quiet: bool, as_json: bool = False
) -> None:
    """Train each seed in a process, and print the results; whoever has finished before is left alone.

    Raises:
        UserError: the run of a seed has failed; the others were carried out.
        KeyboardInterrupt, Terminated: the runs were ended, in order; the message says how they go on.
    """
    left, errors = [job for job in work if not has_finished(job.run_dir, job.config.total_steps)], list[str | None]()
    if left:
        with writable("run_dir", run_dir):
            (run_dir / SUMMARY).unlink(missing_ok=True)  # whoever reads it believes that all have finished
    seeds = [job.config.seed for job in work]
    try:
        with bar(work, None if quiet else sys.stderr if as_json else sys.stdout) as show:
            errors = in_processes(train_seed, left, min(jobs, len(left)), show) if left else []
    except (KeyboardInterrupt, Terminated) as error:
        done = sum(has_finished(job.run_dir, job.config.total_steps) for job in work)
        raise type(error)(f"{done} of {len(work)} seeds have finished\n{resume_line(run_dir)}") from error
    finally:
        found = summarize(run_dir, seeds, PROCESSES)
    if as_json:
        print(json.dumps({"run_dir": str(run_dir), "agent": work[0].agent, "env": work[0].config.env, **found}))
    elif not quiet:
        say(f"{table(found, known)}\nrun      {run_dir}\n{next_lines(run_dir, work[0].config.env, seeds)}")
    if failed := [(job.config.seed, error) for job, error in zip(left, errors, strict=True) if error is not None]:
        others = f"; so have those of {', '.join(str(seed) for seed, _ in failed[1:])}" if failed[1:] else ""
        raise UserError(f"the run of seed {failed[0][0]} has failed{others}: {failed[0][1]}")


def _jobs(typed: int | None, seeds: Sequence[int]) -> int:
    from joblib import cpu_count  # here: most commands do not need it

    return min(max(1, typed or cpu_count()), len(seeds))


def _own(config: RunConfig, parent: Path, seed: int) -> tuple[RunConfig, Path]:
    """Return the configuration of a seed's run, and its folder, from the root: processes may be in another one."""
    return replace(config, seed=seed), parent.resolve() / folder_of(seed)


def _typed(options: TrainOptions) -> dict[str, Any]:
    """Return what makes the seeds' runs, besides their configuration, for those that begin when the run goes on."""
    agent = {"agent": options.agent.name, "arguments": options.arguments}
    return agent | {"seeds": options.seeds, "way": PROCESSES, "jobs": options.run.jobs}


def _write_config(run_dir: Path, values: dict[str, Any]) -> None:
    with writable("run_dir", run_dir):
        write_file(run_dir / CONFIG, json.dumps(values, indent=2) + "\n")


def holds_seeds(path: Path) -> bool:
    """Return whether a folder is that of seeds that were trained in processes."""
    return (read_json(path / CONFIG) or {}).get("way") == PROCESSES


def resume_seeds(options: ResumeOptions) -> None:
    """Go on with seeds in processes: those that have finished are left alone, those that never began begin."""
    path, found = options.path, read_json(options.path / CONFIG) or {}
    config = read_config(path, trusted=options.trust_run_folder)
    take_over(options, config)
    usable_device(config.device)
    agent, arguments, seeds, jobs = _what_was_typed(path, found)
    _write_config(path, found | asdict(config))
    with ExitStack() as opened:
        known = pg_envs.known_returns(config.open(opened, False, None)[0])
    work = [Seed(agent, arguments, *_own(config, path, seed)) for seed in seeds]
    in_own_processes(work, path, _jobs(jobs, seeds), known, quiet=options.quiet, as_json=options.json)


def _what_was_typed(path: Path, found: dict[str, Any]) -> tuple[str, dict[str, Any], list[int], int | None]:
    """Return the agent's name and arguments, the seeds, and how many at a time.

    Raises:
        UserError: something else stands there.
    """
    kinds = {"agent": str, "arguments": dict, "seeds": list, "jobs": int | None}
    values: list[Any] = [found.get(name) for name in kinds]
    agent, arguments, seeds, jobs = values
    if isinstance(agent, str) and agent not in AGENTS:
        raise UserError(f"path: {path} holds runs of an agent {shown(agent)}; one of your own: --import its module")
    fine = all(isinstance(value, kind) for value, kind in zip(values, kinds.values(), strict=True))
    fine = fine and bool(seeds) and all(type(seed) is int and seed >= 0 for seed in seeds)
    forms = (AGENTS[agent].config_class, NetworkConfig, LanguageConfig) if fine else ()
    if not fine or arguments.keys() - {name for form in forms for name in form.options()}:
        raise UserError(f"path: {path / CONFIG} is damaged or not of this program (see {', '.join(kinds)})")
    return agent, arguments, seeds, jobs
