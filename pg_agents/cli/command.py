"""The command line: `pg-agents list | train | evaluate | gradients | demo`.

Whatever is wrong with what was typed is one sentence on standard error and exit code 2. Errors whose message does not
begin with the name of an argument are mistakes of ours, and keep their traceback.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import gymnasium as gym
import pg_envs
import torch
from gymnasium.vector import VectorEnv

from pg_agents.agents import Agent, SavedAgentError, load
from pg_agents.cli.demo import demo
from pg_agents.cli.environments import UserError, make_env, make_video_env, parse_arguments
from pg_agents.cli.listing import show_list
from pg_agents.cli.options import PROGRAM, EvaluateOptions, GradientsOptions, ListOptions, Options, TrainOptions, parse
from pg_agents.cli.runs import read_config, run_and_agent
from pg_agents.evaluate import evaluate
from pg_agents.policies import UnsupportedSpaceError
from pg_agents.record import fresh_run_dir
from pg_agents.spaces import spaces_of
from pg_agents.stream import FaultyEnvironmentError
from pg_agents.train import Summary, train

OURS = (UserError, SavedAgentError, FaultyEnvironmentError, FloatingPointError)
FLAG = re.compile(r"\A([a-z][a-z_]*)(?=:| must )")  # how a message about an argument begins


def main(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` (the command line's unless given) asks for; return 0, 2 after bad input, 130 after Ctrl-C."""
    try:
        _do(parse(sys.argv[1:] if argv is None else list(argv)))
    except SystemExit as end:
        return int(end.code or 0)
    except KeyboardInterrupt as end:
        print(f"interrupted{': ' + str(end) if str(end) else ''}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever reads standard output has seen enough (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, FaultyEnvironmentError, FloatingPointError) as error:
        message = str(error)
        if not isinstance(error, OURS) and not FLAG.match(message):
            raise
        print(f"error: {FLAG.sub(_as_typed, message, count=1)}", file=sys.stderr)
        return 2
    return 0


def _as_typed(name: re.Match[str]) -> str:
    word = name[0]
    typed_bare = word in ("env", "agent", "command", "path")
    return word.upper() if typed_bare else f"--{word.replace('_', '-')}"


def _do(options: Options) -> None:
    if isinstance(options, ListOptions):
        show_list(as_json=options.json)
    elif isinstance(options, TrainOptions):
        run_training(options)
    elif isinstance(options, EvaluateOptions):
        run_evaluation(options)
    elif isinstance(options, GradientsOptions):
        from pg_agents.cli.measure import run_gradients  # with what only this command needs

        run_gradients(options)
    else:
        demo(options.root, scale=options.scale, processes=options.processes, seed=options.seed)


# -- train -------------------------------------------------------------------------------------------------------------
def run_training(options: TrainOptions) -> None:
    """Make environment and agent, train, and print what came of it."""
    run = options.run
    device = usable_device(run.device)
    check_whole("threads", run.threads)
    for size in options.arguments.get("hidden") or ():
        check_whole("hidden", size)
    check_whole("eval_every", run.eval_every)
    check_whole("eval_episodes", run.eval_episodes)
    if run.eval_episodes is not None and run.eval_every is None:
        raise UserError(f"eval_episodes: {run.eval_episodes} of no evaluation; say how often with --eval-every")
    eval_episodes = run.eval_episodes or 10
    torch.set_num_threads(run.threads)
    env_arguments = parse_arguments(run.env_arg)
    groups = "group_size" in options.agent.argument_names()
    with ExitStack() as opened:
        env = opened.enter_context(closing(make_env(run.env, run.num_envs, env_arguments, a_seed_each=groups)))
        eval_env = None
        if run.eval_every is not None:
            eval_env = opened.enter_context(closing(make_env(run.env, eval_episodes, env_arguments)))
        agent = make_agent(options, env).to(device)
        run_dir = run.run_dir or fresh_run_dir(f"{agent.name}-{run.env}")
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
                eval_episodes=eval_episodes,
                progress=not run.quiet,
                config={"env": run.env, "env_args": env_arguments, "device": run.device},
            )
        except KeyboardInterrupt as error:
            saved = (run_dir / "agent").is_dir()
            raise KeyboardInterrupt(f"the agent is saved in {run_dir / 'agent'}" if saved else "") from error
        finally:
            if run.run_dir is None and not any(run_dir.iterdir()):
                run_dir.rmdir()  # nothing was started
        if not run.quiet:
            print(result_lines(result, run_dir, pg_envs.known_returns(env)))


def make_agent(options: TrainOptions, env: VectorEnv) -> Agent:
    """Return a new agent with the arguments that were typed."""
    run = options.run
    try:
        return options.agent.for_env(env, seed=run.seed, **options.arguments)
    except UnsupportedSpaceError as error:
        raise UserError(f"env: {options.agent.name} cannot be trained in {run.env}: {error}") from error


def check_whole(name: str, value: int | None, least: int = 1) -> None:
    """Raise UserError where a number that was typed is below `least`."""
    if value is not None and value < least:
        raise UserError(f"{name} must be a whole number, {least} or above, got {value}")


def usable_device(name: str) -> torch.device:
    """Return torch's device of that name.

    Raises:
        UserError: torch knows no such device, or this machine has none.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"device: {name!r} is not available here ({reason}); use --device cpu") from error
    return device


def result_lines(result: Summary, run_dir: Path, known: pg_envs.KnownReturns) -> str:
    """Return a run's summary and what to do next, as text."""
    mean = result.mean_return_last_100
    shown = "no episode ended" if mean is None else f"{mean:.4g} (mean of the last {min(100, result.episodes)} episodes"
    if mean is not None:
        shown += f"{known_text(known)})"
    folder = shlex.quote(str(run_dir))
    return "\n".join(
        [
            f"run      {run_dir}",
            f"return   {shown}",
            f"speed    {result.steps_per_second:,.0f} steps per second, {result.total_steps:,} steps in "
            f"{result.wall_seconds:.1f} s",
            f"next     {PROGRAM} evaluate {folder} --episodes 100",
            f"         tensorboard --logdir {folder}",
        ]
    )


def known_text(known: pg_envs.KnownReturns) -> str:
    """Return "; random …, optimal …", as far as they are known per episode."""
    if known.per != "episode":
        return ""
    pairs = (("random", known.random), ("optimal", known.optimal))
    text = ", ".join(f"{name} {value:.4g}" for name, value in pairs if value is not None)
    return f"; {text}" if text else ""


# -- evaluate ----------------------------------------------------------------------------------------------------------
def run_evaluation(options: EvaluateOptions) -> None:
    """Load a run's agent, play episodes in its environment and print what came of it."""
    check_whole("episodes", options.episodes)
    check_whole("seed", options.seed, 0)
    check_whole("max_episode_steps", options.max_episode_steps)
    device = usable_device(options.device)
    torch.set_num_threads(1)
    run_dir, saved = run_and_agent(options.path)
    config = read_config(run_dir)
    agent = load(saved).to(device)
    limit = options.max_episode_steps or getattr(agent, "max_episode_steps", None)
    with closing(_evaluation_env(options, run_dir, config)) as env:
        _check_spaces(agent, env, options.path)
        result = evaluate(
            agent,
            env,
            episodes=options.episodes,
            greedy=not options.stochastic,
            seed=options.seed,
            max_episode_steps=limit,
        )
        known = pg_envs.known_returns(env)
    if options.json:
        keys = ("mean_return", "std_return", "episodes")
        print(json.dumps({key: getattr(result, key) for key in keys}))
        return
    how = "sampled" if options.stochastic else "greedy"
    print(f"{config['agent']} on {config['env']}, {how} actions, {result.episodes} episodes")
    print(f"return   {result.mean_return:.4g} ± {result.std_return:.4g} (mean ± standard deviation{known_text(known)})")
    print(f"length   {sum(result.lengths) / len(result.lengths):.1f} steps")
    if options.video:
        print(f"videos   {run_dir / 'videos'}")


def _evaluation_env(options: EvaluateOptions, run_dir: Path, config: dict[str, Any]) -> gym.Env | VectorEnv:
    if options.video:
        return make_video_env(config["env"], config["env_args"], str(run_dir / "videos"))
    return make_env(config["env"], min(options.episodes, config["num_envs"]), config["env_args"])


def _check_spaces(agent: Agent, env: gym.Env | VectorEnv, run_dir: Path) -> None:
    if agent.spaces is not None and agent.spaces != spaces_of(env):
        raise UserError(
            f"path: the agent in {run_dir} was made for the spaces {agent.spaces}, the environment has now "
            f"{spaces_of(env)}; evaluate with the version of the environment that it was trained in"
        )
