"""The command line: `pg-agents list | train | evaluate | gradients | demo`.

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
from pathlib import Path
from typing import Any

import pg_envs
import torch
from gymnasium.vector import VectorEnv

from pg_agents.agents import Agent
from pg_agents.cli.demo import demo
from pg_agents.cli.environments import TRUST, parse_arguments, with_tokenizer
from pg_agents.cli.evaluating import check_whole, known_text, run_evaluation, usable_device
from pg_agents.cli.listing import show_list
from pg_agents.cli.options import PROGRAM, EvaluateOptions, GradientsOptions, ListOptions, Options, TrainOptions, parse
from pg_agents.cli.runs import run_folder
from pg_agents.cli.terminal import complain, nobody_reads, prepare, say
from pg_agents.errors import (
    AuditError,
    FaultyEnvironmentError,
    NotSavedError,
    SavedFilesError,
    UnsupportedSpaceError,
    UserError,
)
from pg_agents.llm import folder_of
from pg_agents.spaces.environments import made_by, open_env
from pg_agents.spaces.wrappers import wrappers_of
from pg_agents.training.loop import train
from pg_agents.training.run import Summary

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
    """Run the command in `argv` (default: the command line); return 0, 2 after bad input, 130 after Ctrl-C."""
    prepare()
    typed = sys.argv[1:] if argv is None else list(argv)
    try:
        _finish(parse(typed))
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
    except SystemExit as end:
        raise UserError(f"sys.exit({end.code!r}) was called before this command had finished") from end
    sys.stdout.flush()


def _do(options: Options) -> None:
    if isinstance(options, ListOptions):
        show_list(as_json=options.json)
    elif isinstance(options, TrainOptions):
        run_training(options)
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
    torch.set_num_threads(run.threads)
    with ExitStack() as opened:
        env, eval_env, made_of = open_envs(options, opened)
        agent = make_agent(options, env).to(device)
        run_dir = opened.enter_context(run_folder(run.run_dir, f"{agent.name}-{run.env}"))
        try:
            result = train(
                agent,
                env,
                total_steps=run.total_steps,
                seed=run.seed,
                run_dir=run_dir,
                log_every=run.log_every,
                stop_return=run.stop_return,
                eval_env=eval_env,
                eval_every=run.eval_every,
                eval_episodes=run.eval_episodes or EVAL_EPISODES,
                step_timeout=run.step_timeout,
                progress=not run.quiet,
                config=made_of | {"device": run.device},
            )
        except KeyboardInterrupt as error:
            saved = (run_dir / "agent").is_dir()
            raise KeyboardInterrupt(f"the agent is saved in {run_dir / 'agent'}" if saved else "") from error
        if not run.quiet:
            say(result_lines(result, run_dir, pg_envs.known_returns(env), run.env))


def open_envs(options: TrainOptions, opened: ExitStack) -> tuple[VectorEnv, VectorEnv | None, dict[str, Any]]:
    """Return the environments to learn and to evaluate in, which `opened` closes, and what config.json says of them."""
    run, folder = options.run, model_folder(options)
    wrappers, arguments = wrappers_of(run.wrapper), parse_arguments(run.env_arg)
    if run.asynchronous:
        arguments["vectorization_mode"] = "async"
    evaluated = arguments | parse_arguments(run.eval_env_arg, "eval_env_arg")
    groups = "group_size" in options.agent.argument_names()

    def opened_env(count: int, given: dict[str, Any], **how: Any) -> VectorEnv:  # noqa: ANN401
        env_args = with_tokenizer(run.env, given, folder)
        how |= {"wrappers": wrappers, "step_timeout": run.step_timeout}
        return opened.enter_context(open_env(run.env, count, env_args, **how))

    env = opened_env(run.num_envs, arguments, a_seed_each=groups)
    eval_env = None if run.eval_every is None else opened_env(run.eval_episodes or EVAL_EPISODES, evaluated)
    return env, eval_env, made_by(run.env, arguments, wrappers)


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


def result_lines(result: Summary, run_dir: Path, known: pg_envs.KnownReturns, env_id: str) -> str:
    """Return a run's results, and the commands to run next, as text."""
    trust = f" {TRUST}" if ":" in env_id else ""
    mean = result.mean_return_last_100
    shown = "no episode ended" if mean is None else f"{mean:.4g} (mean of the last {result.recent_episodes} episodes"
    if mean is not None:
        shown += f"{known_text(known)})"
    folder = shlex.quote(str(run_dir))
    return "\n".join(
        [
            f"run      {run_dir}",
            f"return   {shown}",
            f"speed    {result.steps_per_second:,.0f} steps per second, {result.total_steps:,} steps in "
            f"{result.wall_seconds:.1f} s",
            f"next     {PROGRAM} evaluate {folder} --episodes 100{trust}",
            f"         tensorboard --logdir {folder}",
        ]
    )
