"""`pg-agents generate`: continues texts with a run's agent."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from pg_agents.agents import Agent
from pg_agents.agents.common.files import FILES
from pg_agents.cli.evaluating import check_whole, load_agent, usable_device
from pg_agents.cli.options import GenerateOptions
from pg_agents.cli.runs import read_config, run_and_agent, seeds_in
from pg_agents.cli.terminal import say
from pg_agents.errors import UserError
from pg_agents.spaces.environments import open_env
from pg_agents.training.learners_progress import folder_of

STDIN = "-"


def run_generation(options: GenerateOptions) -> None:
    """Load a run's agent, continue the typed texts and print the completions."""
    check_whole("max_new_tokens", options.max_new_tokens)
    check_whole("num", options.num)
    check_whole("seed", options.seed, 0)
    if not options.prompts:
        raise UserError("prompts: there is none; type a text after the folder, in quotes")
    texts = [sys.stdin.read() if text == STDIN else text for text in options.prompts]
    torch.set_num_threads(1)
    alone = (options.path / FILES[0]).is_file()  # a saved agent that may belong to no run
    run_dir, saved = run_and_agent(options.path)
    saved = options.path if alone else saved
    if not saved.is_dir() and (seeds := seeds_in(run_dir)):
        raise UserError(f"path: {run_dir} holds runs of several seeds; name one, like {run_dir / folder_of(seeds[0])}")
    agent = load_agent(saved).to(usable_device(options.device))
    asked: list[Any] = [[{"role": "user", "content": text}] if options.chat else text for text in texts]
    with ExitStack() as opened:
        how = _characters(agent, options, run_dir, saved, opened)
        found = agent.generate(
            [text for text in asked for _ in range(options.num)],
            max_new_tokens=options.max_new_tokens,
            greedy=options.greedy,
            seed=options.seed,
            temperature=options.temperature,
            **how,
        )
    each = [found[first : first + options.num] for first in range(0, len(found), options.num)]
    if options.json:
        print(json.dumps([{"prompt": text, "completions": some} for text, some in zip(texts, each, strict=True)]))
    else:
        say("\n".join(_lines(texts, each)))


def _characters(
    agent: Agent, options: GenerateOptions, run_dir: Path, saved: Path, opened: ExitStack
) -> dict[str, Any]:
    """Return the environment that knows the characters of an agent that has no tokenizer, by its argument's name.

    Raises:
        UserError: the agent does not generate texts, or its environment is not known.
    """
    if "policy" in agent.networks:
        return {}
    if agent.spaces is None or set(getattr(agent.spaces[0], "spaces", ())) != {"tokens", "length"}:
        raise UserError(f"path: the agent in {saved} ({agent.name}) reads no texts; give one of a language model")
    if options.chat:
        raise UserError(f"chat: the agent in {saved} has a network of ours, without a tokenizer's template")
    if not (run_dir / "config.json").is_file():
        raise UserError(
            f"path: the agent in {saved} has no tokenizer, and no run's folder is around it, which would name the "
            "environment that knows its characters; give that folder"
        )
    config = read_config(run_dir, trusted=options.trust_run_folder)
    return {"env": opened.enter_context(open_env(config.env, agent.policy.num_learners, config.env_args))}


def _lines(texts: list[str], each: list[list[str]]) -> list[str]:
    """Return the completions, behind their texts if there are several."""
    if len(texts) == 1 and len(each[0]) == 1:
        return each[0]
    return [
        line
        for text, some in zip(texts, each, strict=True)
        for line in (f"prompt   {text}", *(f"         {answer}" for answer in some))
    ]
