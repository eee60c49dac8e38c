"""`pg-agents train`: makes the environment and the agent that were typed, and trains."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path

from gymnasium.vector import VectorEnv

from pg_agents.agents import Agent
from pg_agents.cli.environments import parse_arguments
from pg_agents.cli.evaluating import check_whole, usable_device
from pg_agents.cli.launched import folder_of_ranks, launched_group
from pg_agents.cli.options import RunOptions, TrainOptions
from pg_agents.cli.resuming import carry_out
from pg_agents.cli.runs import Made, RunConfig
from pg_agents.errors import UnsupportedSpaceError, UserError
from pg_agents.llm import folder_of
from pg_agents.spaces.wrappers import wrappers_of
from pg_agents.training.threads import set_threads
from pg_agents.training.trackers.tracking import check_tracker

EVAL_EPISODES = 10  # in each evaluation, unless typed


def run_training(options: TrainOptions) -> None:
    """Make the environment and the agent, train, and print the results."""
    run = options.run
    device = usable_device(run.device)
    check_numbers(options)
    config = typed_config(run)
    set_threads(run.threads)
    with ExitStack() as opened:
        ranks = opened.enter_context(launched_group())
        groups = "group_size" in options.agent.argument_names()
        env, eval_env = config.open(opened, groups, model_folder(options))
        agent = make_agent(options, env).to(device)
        run_dir, again = opened.enter_context(folder_of_ranks(ranks, run.run_dir, f"{agent.name}-{run.env}"))
        carry_out(Made(config, agent, env, eval_env), run_dir, quiet=run.quiet, as_json=run.json, resume=again)


def typed_config(run: RunOptions) -> RunConfig:
    """Return how a run is to be made that was typed."""
    check_tracker(run.track)
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
    check_whole("jobs", run.jobs)
    if run.jobs is not None and options.seeds is None:
        raise UserError(f"jobs: {run.jobs} has no effect with one seed; give --seeds too")
    if run.shard and options.seeds is not None:
        raise UserError(
            "shard: with --seeds processes share the seeds out, and each learns alone; leave one of both out"
        )
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
