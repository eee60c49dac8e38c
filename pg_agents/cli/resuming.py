"""`pg-agents resume`: goes on with a run that was stopped; and what it has in common with `pg-agents train`."""

from __future__ import annotations

import json
import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

import pg_envs

from pg_agents.agents import Agent
from pg_agents.agents.common.files import MODEL
from pg_agents.at_once import leaving
from pg_agents.checkpoints.store import START
from pg_agents.cli.environments import TRUST
from pg_agents.cli.evaluating import check_whole, known_text, load_agent, usable_device
from pg_agents.cli.importing import as_typed
from pg_agents.cli.launched import launched_group, rank
from pg_agents.cli.options import PROGRAM, ResumeOptions
from pg_agents.cli.runs import Made, RunConfig, read_config
from pg_agents.cli.seeds_results import summarize, table
from pg_agents.cli.terminal import say
from pg_agents.errors import LostRankError, NotSavedError, SavedFilesError, Terminated, UserError
from pg_agents.spaces.environments import made_by
from pg_agents.training.checkpointing import FOLDER
from pg_agents.training.heartbeat import in_the_end
from pg_agents.training.learner_apart import apart
from pg_agents.training.learners_progress import folder_of
from pg_agents.training.loop import train
from pg_agents.training.over_seeds import STACKED
from pg_agents.training.ranks import ranks_of_group
from pg_agents.training.run import Summary
from pg_agents.training.run_files import AGENT, BEST
from pg_agents.training.threads import set_threads


def run_resuming(options: ResumeOptions, *, alone: bool = False) -> None:
    """Make a run's environment and agent again, go on from its newest checkpoint, and print the results.

    Args:
        options: what was typed.
        alone: whether this process learns alone, though a launcher has started others.
    """
    run_dir = options.path
    config = read_config(run_dir, trusted=options.trust_run_folder)
    take_over(options, config)
    device = usable_device(config.device)
    set_threads(config.threads)
    of_several = apart(run_dir)
    if of_several is None and not (run_dir / FOLDER).is_dir():
        raise UserError(f"path: {run_dir} holds no checkpoint to resume from; train again, into another folder")
    with ExitStack() as opened:
        if not alone:
            opened.enter_context(launched_group())
        config.shard &= ranks_of_group().count > 1
        agent, start = agent_of(run_dir) if of_several is None else (of_several.agent(), run_dir)
        agent = agent.to(device)
        folder = start / MODEL if "policy" in agent.networks else None
        groups, learners = "group_size" in agent.argument_names(), agent.policy.num_learners
        if options.total_steps is not None:
            config.total_steps = learners * options.total_steps
        env, eval_env = config.open(opened, groups, folder, learners)
        carry_out(Made(config, agent, env, eval_env), run_dir, quiet=options.quiet, resume=True, as_json=options.json)


def take_over(options: ResumeOptions, config: RunConfig) -> None:
    """Change of a run's configuration what was typed.

    Raises:
        UserError: a number out of range.
    """
    check_whole("total_steps", options.total_steps)
    config.total_steps = options.total_steps or config.total_steps
    config.stop_return = config.stop_return if options.stop_return is None else options.stop_return
    config.step_timeout = options.step_timeout or config.step_timeout
    config.device = options.device or config.device


def agent_of(run_dir: Path) -> tuple[Agent, Path]:
    """Return an agent that was made as the run's, and its folder: that with which it began, or another that is sound.

    All that it has learned is in the checkpoints.
    """
    start, *others = run_dir / FOLDER / START, run_dir / AGENT, run_dir / BEST
    try:
        return load_agent(start), start
    except (UserError, SavedFilesError) as error:
        for path in others:
            with suppress(UserError, SavedFilesError):
                agent = load_agent(path)
                warnings.warn(f"{error}; the agent is made as that in {path}", RuntimeWarning, stacklevel=2)
                return agent, path
        raise


def carry_out(made: Made, run_dir: Path, *, quiet: bool, resume: bool = False, as_json: bool = False) -> None:
    """Train, or go on, and print the results: as one line of JSON, or in words; of several learners a table."""
    seeds = list(made.agent.seeds) if made.agent.policy.num_learners > 1 else []
    quiet, as_json = quiet or rank() > 0, as_json and rank() == 0
    known = pg_envs.known_returns(made.env)
    in_the_end(lambda: _resumes(run_dir))
    try:
        with leaving():
            result = learn(made, run_dir, progress=False if quiet else sys.stderr if as_json else True, resume=resume)
    except (KeyboardInterrupt, Terminated, LostRankError) as error:
        raise type(error)(f"{error}\n{_resumes(run_dir)}".rstrip("\n")) from error
    finally:
        over_seeds = summarize(run_dir, seeds, STACKED) if seeds else {}
    if as_json:
        print(json.dumps({"run_dir": str(run_dir), **asdict(result), **over_seeds}))
    elif not quiet:
        if seeds:
            say(table(over_seeds, known))
        say(result_lines(result, run_dir, known, made.config.env, seeds))
    if AGENT in result.not_written:
        raise NotSavedError(
            f"run_dir: the trained agent could not be saved in {run_dir}, and is lost; what is saved there is older"
        )


def _resumes(run_dir: Path) -> str:
    """Return the line that says how a run goes on, if it can."""
    return resume_line(run_dir) if os.path.isdir(run_dir / FOLDER) else ""


def resume_line(run_dir: Path) -> str:
    """Return the line that says how a run goes on."""
    return f"next     {PROGRAM} resume {shlex.quote(str(run_dir))}{as_typed()}"


def learn(made: Made, run_dir: Path, *, progress: bool | TextIO, resume: bool = False) -> Summary:
    """Train, or go on, and return the summary."""
    config = made.config
    names = (
        *("total_steps", "seed", "log_every", "stop_return", "eval_every", "eval_episodes", "step_timeout"),
        *("checkpoint_every", "keep_checkpoints", "track", "shard"),
    )
    how: dict[str, Any] = {name: getattr(config, name) for name in names}
    made_of = made_by(config.env, config.env_args, config.wrappers)
    made_of |= {"eval_env_args": config.eval_env_args, "device": config.device}
    how |= {"eval_env": made.eval_env, "run_dir": run_dir, "resume": resume, "progress": progress, "config": made_of}
    return train(made.agent, made.env, **how)


def result_lines(
    result: Summary, run_dir: Path, known: pg_envs.KnownReturns, env_id: str, seeds: Sequence[int] = ()
) -> str:
    """Return a run's results, and the commands to run next, as text; those of several `seeds` stand in a table."""
    mean = result.mean_return_last_100
    shown = "no episode ended" if mean is None else f"{mean:.4g} (mean of the last {result.recent_episodes} episodes"
    if mean is not None:
        shown += f"{known_text(known)})"
    return "\n".join(
        [
            f"run      {run_dir}",
            *([] if seeds else [f"return   {shown}"]),
            f"speed    {result.steps_per_second:,.0f} steps per second, {result.total_steps:,} steps in "
            f"{result.wall_seconds:.1f} s",
            next_lines(run_dir, env_id, seeds),
        ]
    )


def next_lines(run_dir: Path, env_id: str, seeds: Sequence[int] = ()) -> str:
    """Return the commands that show more of a run, as text; of several seeds the first is to be evaluated."""
    trust = (f" {TRUST}" if ":" in env_id else "") + as_typed()
    evaluated = run_dir / folder_of(seeds[0]) if seeds else run_dir
    return (
        f"next     {PROGRAM} evaluate {shlex.quote(str(evaluated))} --episodes 100{trust}\n"
        f"         tensorboard --logdir {shlex.quote(str(run_dir))}"
    )
