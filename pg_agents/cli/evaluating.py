"""`pg-agents evaluate`: plays episodes with a run's agent, or with each of its learners."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
import pg_envs
import torch
from gymnasium.vector import VectorEnv

from pg_agents.agents import Agent, load
from pg_agents.agents.common.files import MODEL
from pg_agents.cli.environments import make_video_env, parse_arguments, with_tokenizer
from pg_agents.cli.options import EvaluateOptions
from pg_agents.cli.runs import RunConfig, read_config, run_and_agent, seeds_in
from pg_agents.cli.terminal import say
from pg_agents.errors import SavedAgentError, UserError
from pg_agents.spaces.closing import closing
from pg_agents.spaces.conversion import difference, spaces_of
from pg_agents.spaces.environments import make_env
from pg_agents.training.evaluation import Evaluation, evaluate, evaluation_of
from pg_agents.training.learners_progress import folder_of
from pg_agents.training.run_files import AGENT


class Evaluated(NamedTuple):
    """What was evaluated, in words, and what was found: of several learners with their seeds."""

    agent: str
    env: str
    known: str  # returns that are known, as text
    found: Evaluation
    seeds: Sequence[int]


def run_evaluation(options: EvaluateOptions) -> None:
    """Load a run's agent, play episodes in its environment and print their returns; of several learners, each's."""
    check_whole("episodes", options.episodes)
    check_whole("seed", options.seed, 0)
    check_whole("max_episode_steps", options.max_episode_steps)
    torch.set_num_threads(1)
    run_dir, saved = run_and_agent(options.path)
    seeds = seeds_in(run_dir)
    if seeds and saved == run_dir / AGENT and not saved.is_dir():  # each was trained in a process of its own
        result = _joined([_evaluated(options, *run_and_agent(run_dir / folder_of(seed))) for seed in seeds], seeds)
    else:
        result = _evaluated(options, run_dir, saved)
    if options.json:
        print(json.dumps(_as_json(result)))
        return
    for line in _lines(result, "sampled" if options.stochastic else "greedy"):
        say(line)
    if options.video:
        say(f"videos   {run_dir / 'videos'}")


def _evaluated(options: EvaluateOptions, run_dir: Path, saved: Path) -> Evaluated:
    """Evaluate the agent that is saved in a run's folder: each of several learners in as many episodes."""
    config = read_config(run_dir, trusted=options.trust_run_folder)
    config.env_args |= parse_arguments(options.env_arg)
    agent = load_agent(saved).to(usable_device(options.device))
    count = agent.policy.num_learners
    if options.video and count > 1:
        one = run_dir / folder_of(agent.seeds[0])
        raise UserError(f"video: {saved} holds {count} learners; record one of them, like that in {one}")
    limit = options.max_episode_steps or getattr(agent, "max_episode_steps", None)
    if "policy" in agent.networks:
        config.env_args = with_tokenizer(config.env, config.env_args, saved / MODEL)
    with closing(_evaluation_env(options, run_dir, config, count), options.step_timeout) as env:
        _check_spaces(agent, env, saved)
        how: dict[str, Any] = {"greedy": not options.stochastic, "seed": [options.seed] * count}
        how |= {"max_episode_steps": limit, "step_timeout": options.step_timeout}
        found = evaluate(agent, env, episodes=options.episodes * count, **how)
        return Evaluated(agent.name, config.env, known_text(pg_envs.known_returns(env)), found, agent.seeds)


def _joined(each: Sequence[Evaluated], seeds: Sequence[int]) -> Evaluated:
    """Return the evaluations of learners that were made one after the other as one."""
    returns = [value for one in each for value in one.found.returns]
    lengths = [length for one in each for length in one.found.lengths]
    learners = [one.found for one in each]
    return each[0]._replace(found=evaluation_of(returns, lengths, learners), seeds=seeds)


def _as_json(result: Evaluated) -> dict[str, Any]:
    keys, found = ("mean_return", "std_return", "episodes"), result.found
    each = zip(result.seeds, found.learners, strict=False)
    learners = [{"seed": seed, **{key: getattr(one, key) for key in keys}} for seed, one in each]
    return {key: getattr(found, key) for key in keys} | ({"learners": learners} if learners else {})


def _lines(result: Evaluated, how: str) -> Iterator[str]:
    """Yield what is printed of an evaluation."""
    found, learners = result.found, result.found.learners
    of_each = f", {learners[0].episodes} of each learner" if learners else ""
    yield f"{result.agent} on {result.env}, {how} actions, {found.episodes} episodes{of_each}"
    for seed, one in zip(result.seeds, learners, strict=False):
        yield f"{folder_of(seed):<8} {one.mean_return:.4g} ± {one.std_return:.4g}, {np.mean(one.lengths):.1f} steps"
    yield f"return   {found.mean_return:.4g} ± {found.std_return:.4g} (mean ± standard deviation{result.known})"
    yield f"length   {np.mean(found.lengths):.1f} steps"


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


def _evaluation_env(
    options: EvaluateOptions, run_dir: Path, config: RunConfig, num_learners: int
) -> gym.Env | VectorEnv:
    if options.video:
        return make_video_env(config.env, config.env_args, config.wrappers, str(run_dir / "videos"))
    how: dict[str, Any] = {"wrappers": config.wrappers, "step_timeout": options.step_timeout}
    each = min(options.episodes, config.num_envs // num_learners)
    return make_env(config.env, each * num_learners, config.env_args, **how)


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
