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
from pg_agents.cli.resuming import carry_out, take_over
from pg_agents.cli.runs import Made, RunConfig, read_config, run_folder
from pg_agents.cli.seed_process import Seed
from pg_agents.cli.seeds_apart import in_own_processes
from pg_agents.cli.seeds_results import read_json
from pg_agents.cli.terminal import say
from pg_agents.cli.training import check_numbers, make_agent, model_folder, typed_config
from pg_agents.data.shares import ALONE, Ranks
from pg_agents.errors import UserError
from pg_agents.folders import write_file
from pg_agents.llm import LanguageConfig
from pg_agents.policies import NetworkConfig
from pg_agents.shown import shortened, shown
from pg_agents.spaces.environments import id_for
from pg_agents.training.batches import BATCHES, are_batches, batch_name
from pg_agents.training.learners_progress import folder_of
from pg_agents.training.learners_reports import SHARES
from pg_agents.training.loop import make_collector
from pg_agents.training.over_seeds import PROCESSES
from pg_agents.training.run_files import CONFIG, writable
from pg_agents.training.threads import set_threads


def run_seeds(options: TrainOptions) -> None:
    """Train with several seeds, in the way that is possible, and print the results of each and of all."""
    run, seeds = options.run, options.seeds or []
    config, known = begun(options)
    with ExitStack() as opened:
        made = stacked(options, config, opened)
        run_dir = opened.enter_context(run_folder(run.run_dir, f"{options.agent.name}-{run.env}"))
        if not isinstance(made, str):
            say_way(run, f"seeds    {len(seeds)} seeds stacked in one batch")
            carry_out(made, run_dir, quiet=run.quiet, as_json=run.json)
            return
        jobs = _jobs(run.jobs, seeds)
        count = f"{len(seeds)} seed{'s' * (len(seeds) > 1)} in {jobs} process{'es' * (jobs > 1)}"
        say_way(run, f"seeds    {count}: {made}")
        write_typed(run_dir, options, config)
        work = jobs_of(run_dir, config, options.agent.name, options.arguments, seeds)
        in_own_processes(work, run_dir, jobs, known, quiet=run.quiet, as_json=run.json)


def begun(options: TrainOptions) -> tuple[RunConfig, pg_envs.KnownReturns]:
    """Return how the run of the first seed is made, and its known returns, once what was typed is checked."""
    usable_device(options.run.device)
    check_numbers(options)
    config = typed_config(options.run)
    # The id whose rows have generators of their own, by both ways and however many seeds: the same runs.
    env = id_for(config.env, 2, config.env_args, config.wrappers)
    config = replace(config, seed=(options.seeds or [0])[0], env=env)
    set_threads(options.run.threads)
    return config, _check(options, config)


def say_way(run: RunOptions, text: str) -> None:
    """Print in which way the seeds are trained."""
    if not run.quiet:
        say(text, sys.stderr if run.json else None)


def _check(options: TrainOptions, config: RunConfig) -> pg_envs.KnownReturns:
    """Make everything for one seed, so that what is wrong is said before anything is computed; return known returns."""
    with ExitStack() as opened:
        env, _ = config.open(opened, "group_size" in options.agent.argument_names(), model_folder(options))
        make_agent(options, env)
        return pg_envs.known_returns(env)


# -- one batch ---------------------------------------------------------------------------------------------------------
def stacked(options: TrainOptions, config: RunConfig, opened: ExitStack) -> Made | str:
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
def _jobs(typed: int | None, seeds: Sequence[int]) -> int:
    from joblib import cpu_count  # here: most commands do not need it

    return min(max(1, typed or cpu_count()), len(seeds))


def jobs_of(
    parent: Path,
    config: RunConfig,
    agent: str,
    arguments: dict[str, Any],
    seeds: Sequence[int],
    batches: Sequence[Sequence[int]] = (),
) -> list[Seed]:
    """Return the runs of seeds, and of those of them that are batches, in order.

    Their folders are named from the root, as processes may be in another one.
    """
    work, parent = list[Seed](), parent.resolve()
    batch_of = {batch[0]: batch for batch in batches}
    others = {seed for batch in batches for seed in batch[1:]}
    for seed in [seed for seed in seeds if seed not in others]:
        own, batch = replace(config, seed=seed), batch_of.get(seed, ())
        name = batch_name(batch) if batch else folder_of(seed)
        work.append(Seed(agent, arguments, of_all(own, len(batch)) if batch else own, parent / name, tuple(batch)))
    return work


def write_typed(run_dir: Path, options: TrainOptions, config: RunConfig, batches: Sequence[Sequence[int]] = ()) -> None:
    """Write what makes the seeds' runs to their folder's config.json, for those that begin when the run goes on."""
    agent = {"agent": options.agent.name, "arguments": options.arguments}
    typed = {"seeds": options.seeds, "way": PROCESSES, "jobs": options.run.jobs, BATCHES: batches}
    _write_config(run_dir, asdict(config) | agent | typed)


def _write_config(run_dir: Path, values: dict[str, Any]) -> None:
    with writable("run_dir", run_dir):
        write_file(run_dir / CONFIG, json.dumps(values, indent=2) + "\n")


def holds_seeds(path: Path) -> bool:
    """Return whether a folder is that of seeds that were trained in processes."""
    return (read_json(path / CONFIG) or {}).get("way") == PROCESSES


def holds_batch(path: Path) -> bool:
    """Return whether a folder is that of seeds that learn as one batch."""
    networks = (read_json(path / CONFIG) or {}).get("networks")
    return isinstance(networks, dict) and isinstance(networks.get("seeds"), list)


def resume_seeds(options: ResumeOptions, ranks: Ranks = ALONE) -> None:
    """Go on with seeds in processes: those that have finished are left alone, those that never began begin.

    Args:
        options: what was typed.
        ranks: the processes that share out the seeds; of one, it starts others.
    """
    path, found = options.path, read_json(options.path / CONFIG) or {}
    config = read_config(path, trusted=options.trust_run_folder)
    take_over(options, config)
    usable_device(config.device)
    agent, arguments, seeds, jobs = _what_was_typed(path, found)
    if ranks.number == 0:
        _write_config(path, found | asdict(config))
    with ExitStack() as opened:
        known = pg_envs.known_returns(config.open(opened, False, None)[0])
    work = jobs_of(path, config, agent, arguments, seeds, found.get(BATCHES, []))
    jobs = _jobs(jobs, seeds) if ranks.count == 1 else 1
    in_own_processes(work, path, jobs, known, quiet=options.quiet, as_json=options.json, ranks=ranks)


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
    batches = found.get(BATCHES, [])
    fine = fine and are_batches(batches) and {*seeds} >= {seed for batch in batches for seed in batch}
    forms = (AGENTS[agent].config_class, NetworkConfig, LanguageConfig) if fine else ()
    if not fine or arguments.keys() - {name for form in forms for name in form.options()}:
        raise UserError(f"path: {path / CONFIG} is damaged or not of this program (see {', '.join(kinds)})")
    return agent, arguments, seeds, jobs
