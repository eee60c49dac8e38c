"""The command line: `pg-agents list | train | resume | evaluate | gradients | demo`.

Bad input gives one sentence on standard error and exit code 2. A ValueError whose message does not begin with an
argument's name is a bug of this program, and keeps its traceback.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

import pg_envs
import torch
from gymnasium.vector import VectorEnv

from pg_agents.agents import Agent
from pg_agents.at_once import heed_commands
from pg_agents.cli.demo import demo
from pg_agents.cli.environments import parse_arguments
from pg_agents.cli.evaluating import check_whole, run_evaluation, usable_device
from pg_agents.cli.listing import show_list
from pg_agents.cli.options import (
    PROGRAM,
    EvaluateOptions,
    GradientsOptions,
    ListOptions,
    Options,
    ResumeOptions,
    RunOptions,
    TrainOptions,
    parse,
)
from pg_agents.cli.resuming import carry_out, run_resuming
from pg_agents.cli.runs import RunConfig, run_folder
from pg_agents.cli.terminal import complain, nobody_reads, prepare, say, warnings_as_lines
from pg_agents.errors import (
    AuditError,
    FaultyEnvironmentError,
    NotSavedError,
    SavedFilesError,
    Terminated,
    UnsupportedSpaceError,
    UserError,
)
from pg_agents.llm import folder_of
from pg_agents.spaces.wrappers import wrappers_of

OURS = (
    UserError, SavedFilesError, NotSavedError, FaultyEnvironmentError, FloatingPointError, AuditError,
    pg_envs.EvaluationError,
)  # fmt: skip
TYPED = {
    "env": "ENV",
    "agent": "AGENT",
    "command": "COMMAND",
    "path": "PATH",
    "env_args": "--env-arg",
    "wrappers": "--wrapper",
}  # fmt: skip; else --name
EVAL_EPISODES = 10  # in each evaluation, unless typed
EXPLAINED = (ValueError, TypeError, EOFError, ConnectionError, pg_envs.EvaluationError)  # failures without a traceback
FLAG = re.compile(r"\A([a-z][a-z_]*)(?=:| must )")  # how a message about an argument begins


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command in `argv` and return its exit code: 0, 2 (bad input), 130 (Ctrl-C) or 143 (SIGTERM)."""
    prepare()
    heed_commands()
    typed = sys.argv[1:] if argv is None else list(argv)
    try:
        with warnings_as_lines():
            _finish(parse(typed))
    except Terminated as end:
        say(f"terminated: {end}", sys.stderr)
        return 143
    except SystemExit as end:  # after help, and after tyro has printed an option's error
        return int(end.code or 0)
    except KeyboardInterrupt as end:
        say(f"interrupted{': ' + str(end) if str(end) else ''}", sys.stderr)
        return 130
    except BrokenPipeError:
        if not nobody_reads():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, *OURS) as error:
        message = str(error)
        if _is_a_mistake(error):
            raise
        again = getattr(error, "again", "")
        line = f": {shlex.join([PROGRAM, *typed, again])}" if again else ""
        complain(FLAG.sub(_as_typed, message, count=1) + line)
        return 2
    return 0


def _is_a_mistake(error: Exception) -> bool:
    """Return whether the traceback is of use: to the authors of this program, or to the environment's."""
    if not isinstance(error, FaultyEnvironmentError):
        return not isinstance(error, OURS) and not FLAG.match(str(error))
    return isinstance(error.__cause__, Exception) and not isinstance(error.__cause__, EXPLAINED)


def _as_typed(name: re.Match[str]) -> str:
    return TYPED.get(name[0], f"--{name[0].replace('_', '-')}")


def _finish(options: Options) -> None:
    """Run the command; if something in it calls sys.exit, perhaps an environment, that is an error."""
    try:
        _do(options)
    except Terminated:
        raise
    except SystemExit as end:
        raise UserError(f"sys.exit({end.code!r}) was called before this command had finished") from end
    sys.stdout.flush()


def _do(options: Options) -> None:
    if isinstance(options, ListOptions):
        show_list(as_json=options.json)
    elif isinstance(options, TrainOptions):
        run_training(options)
    elif isinstance(options, ResumeOptions):
        run_resuming(options)
    elif isinstance(options, EvaluateOptions):
        run_evaluation(options)
    elif isinstance(options, GradientsOptions):
        from pg_agents.cli.measure import run_gradients  # here: it imports what only this command needs

        run_gradients(options)
    else:
        demo(options.root, scale=options.scale, processes=options.processes, seed=options.seed)


# -- train -------------------------------------------------------------------------------------------------------------
def run_training(options: TrainOptions) -> None:
    """Make the environment and the agent, train, and print the results."""
    run = options.run
    device = usable_device(run.device)
    check_numbers(options)
    config = typed_config(run)
    torch.set_num_threads(run.threads)
    with ExitStack() as opened:
        groups = "group_size" in options.agent.argument_names()
        env, eval_env = config.open(opened, groups, model_folder(options))
        agent = make_agent(options, env).to(device)
        run_dir = opened.enter_context(run_folder(run.run_dir, f"{agent.name}-{run.env}"))
        carry_out(config, agent, env, eval_env, run_dir, quiet=run.quiet)


def typed_config(run: RunOptions) -> RunConfig:
    """Return how a run is to be made that was typed."""
    same = {field.name: getattr(run, field.name) for field in fields(RunConfig) if hasattr(run, field.name)}
    env_args, eval_env_args = parse_arguments(run.env_arg), parse_arguments(run.eval_env_arg, "eval_env_arg")
    if run.asynchronous and env_args.setdefault("vectorization_mode", "async") != "async":
        mode = env_args["vectorization_mode"]
        raise UserError(
            f"async: it is vectorization_mode=async, but --env-arg gives {mode!r}; leave one of the two out"
        )
    own = {"eval_episodes": run.eval_episodes or EVAL_EPISODES}
    made = {"env_args": env_args, "eval_env_args": eval_env_args, "wrappers": wrappers_of(run.wrapper)}
    return RunConfig(**{**same, **own, **made})


def check_numbers(options: TrainOptions) -> None:
    """Raise UserError for a typed number that is out of range."""
    run = options.run
    check_whole("threads", run.threads)
    for size in options.arguments.get("hidden") or ():
        check_whole("hidden", size)
    check_whole("eval_every", run.eval_every)
    check_whole("eval_episodes", run.eval_episodes)
    if run.eval_episodes is not None and run.eval_every is None:
        raise UserError(f"eval_episodes: {run.eval_episodes} has no effect without evaluations; give --eval-every too")
    if run.eval_env_arg and run.eval_every is None:
        raise UserError("eval_env_arg: it has no effect without evaluations; give --eval-every too")


def make_agent(options: TrainOptions, env: VectorEnv) -> Agent:
    """Return a new agent with the typed arguments."""
    run = options.run
    try:
        return options.agent.for_env(env, seed=run.seed, **options.arguments)
    except UnsupportedSpaceError as error:
        raise UserError(f"env: {options.agent.name} cannot be trained in {run.env}: {error}") from error
    except ImportError as error:
        raise UserError(f"policy: {error}") from error


def model_folder(options: TrainOptions) -> Path | None:
    """Return the folder of the typed language model, or None."""
    policy = options.arguments.get("policy")
    try:
        return None if policy is None else folder_of(policy)
    except ImportError as error:
        raise UserError(f"policy: {error}") from error
