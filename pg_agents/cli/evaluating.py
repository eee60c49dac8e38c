"""`pg-agents evaluate`: plays episodes with a run's agent."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import gymnasium as gym
import pg_envs
import torch
from gymnasium.vector import VectorEnv

from pg_agents.agents import Agent, load
from pg_agents.agents.common.files import MODEL
from pg_agents.cli.environments import make_video_env, parse_arguments, with_tokenizer
from pg_agents.cli.options import EvaluateOptions
from pg_agents.cli.runs import RunConfig, read_config, run_and_agent
from pg_agents.cli.terminal import say
from pg_agents.errors import SavedAgentError, UserError
from pg_agents.spaces.closing import closing
from pg_agents.spaces.conversion import difference, spaces_of
from pg_agents.spaces.environments import make_env
from pg_agents.training.evaluation import evaluate


def run_evaluation(options: EvaluateOptions) -> None:
    """Load a run's agent, play episodes in its environment and print their returns."""
    check_whole("episodes", options.episodes)
    check_whole("seed", options.seed, 0)
    check_whole("max_episode_steps", options.max_episode_steps)
    device = usable_device(options.device)
    torch.set_num_threads(1)
    run_dir, saved = run_and_agent(options.path)
    config = read_config(run_dir, trusted=options.trust_run_folder)
    config.env_args |= parse_arguments(options.env_arg)
    agent = load_agent(saved).to(device)
    limit = options.max_episode_steps or getattr(agent, "max_episode_steps", None)
    if "policy" in agent.networks:
        config.env_args = with_tokenizer(config.env, config.env_args, saved / MODEL)
    with closing(_evaluation_env(options, run_dir, config), options.step_timeout) as env:
        _check_spaces(agent, env, options.path)
        result = evaluate(
            agent,
            env,
            episodes=options.episodes,
            greedy=not options.stochastic,
            seed=options.seed,
            max_episode_steps=limit,
            step_timeout=options.step_timeout,
        )
        known = pg_envs.known_returns(env)
    if options.json:
        keys = ("mean_return", "std_return", "episodes")
        print(json.dumps({key: getattr(result, key) for key in keys}))
        return
    how = "sampled" if options.stochastic else "greedy"
    say(f"{agent.name} on {config.env}, {how} actions, {result.episodes} episodes")
    say(f"return   {result.mean_return:.4g} ± {result.std_return:.4g} (mean ± standard deviation{known_text(known)})")
    say(f"length   {sum(result.lengths) / len(result.lengths):.1f} steps")
    if options.video:
        say(f"videos   {run_dir / 'videos'}")


def load_agent(path: Path) -> Agent:
    """Return the saved agent.

    Raises:
        UserError: a package that it needs is missing, or it has networks of the user's, which a shell cannot give.
        SavedAgentError: there is no agent, or a damaged one.
    """
    try:
        return load(path)
    except SavedAgentError as error:
        given = re.search(r"load it with (encoder|policy)=", str(error))
        if given is None:
            raise
        raise UserError(
            f"path: the agent in {path} was made with the user's {given[1]}, which no command can make; in Python: "
            f"pg_agents.evaluate(pg_agents.load({str(path)!r}, {given[1]}=…), …), or train(…, resume=True) with it"
        ) from error
    except ImportError as error:
        raise UserError(f"path: {error}") from error


def _evaluation_env(options: EvaluateOptions, run_dir: Path, config: RunConfig) -> gym.Env | VectorEnv:
    if options.video:
        return make_video_env(config.env, config.env_args, config.wrappers, str(run_dir / "videos"))
    how: dict[str, Any] = {"wrappers": config.wrappers, "step_timeout": options.step_timeout}
    return make_env(config.env, min(options.episodes, config.num_envs), config.env_args, **how)


def _check_spaces(agent: Agent, env: gym.Env | VectorEnv, run_dir: Path) -> None:
    for kind, mine, theirs in zip(("observation", "action"), agent.spaces or (), spaces_of(env), strict=False):
        if different := difference(theirs, mine):
            raise UserError(
                f"path: the agent in {run_dir} was made for another {kind} space than the environment's, which has "
                f"{different}; evaluate with the version of the environment that it was trained in"
            )


def check_whole(name: str, value: int | None, least: int = 1) -> None:
    """Raise UserError if a typed number is below `least`."""
    if value is not None and value < least:
        raise UserError(f"{name} must be a whole number, {least} or above, got {value}")


def usable_device(name: str) -> torch.device:
    """Return torch's device of that name.

    Raises:
        UserError: torch has no device of that name, or it is not available here.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(f"device: {name!r} is not available here ({reason}); use --device cpu") from error
    return device


def known_text(known: pg_envs.KnownReturns) -> str:
    """Return "; random …, optimal …", the known returns per episode; "" if none is known."""
    if known.per != "episode":
        return ""
    pairs = (("random", known.random), ("optimal", known.optimal))
    text = ", ".join(f"{name} {value:.4g}" for name, value in pairs if value is not None)
    return f"; {text}" if text else ""
