"""One of several seeds, or some of them as a batch, trained in a process of their own."""

from __future__ import annotations

import sys
import traceback
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pg_agents.agents import AGENTS, Agent
from pg_agents.agents.common.files import MODEL
from pg_agents.checkpoints.store import START
from pg_agents.cli.evaluating import usable_device
from pg_agents.cli.mistakes import OURS, is_a_mistake
from pg_agents.cli.resuming import agent_of, learn
from pg_agents.cli.runs import Made, RunConfig
from pg_agents.cli.seeds_results import has_finished
from pg_agents.cli.terminal import warnings_as_lines
from pg_agents.llm import folder_of
from pg_agents.training.checkpointing import FOLDER
from pg_agents.training.threads import set_threads


@dataclass(frozen=True)
class Seed:
    """The run of one of several seeds, or of some that learn as a batch.

    Attributes:
        agent: the agent's name.
        arguments: its arguments.
        config: how the run is made, with its seed.
        run_dir: its folder, new or as it was left.
        batch: the seeds that learn as a batch; (): the run is of the configuration's seed.
    """

    agent: str
    arguments: dict[str, Any]
    config: RunConfig
    run_dir: Path
    batch: tuple[int, ...] = ()

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return self.batch or (self.config.seed,)

    @property
    def has_finished(self) -> bool:
        """Whether nothing of it is left to do."""
        return has_finished(self.run_dir, self.config.total_steps)


def train_seed(job: Seed) -> str | None:
    """Train, or go on, and return what failed, as text; None: nothing. The traceback of a mistake is printed."""
    try:
        with warnings_as_lines():
            _train(job)
    except Exception as error:
        if not isinstance(error, (ValueError, *OURS)) or is_a_mistake(error):
            traceback.print_exc(file=sys.stderr)
            return f"{type(error).__name__}: {error}"
        return str(error)
    return None


def _train(job: Seed) -> None:
    config, start = job.config, job.run_dir / FOLDER / START
    set_threads(config.threads)
    with ExitStack() as opened:
        groups = "group_size" in AGENTS[job.agent].argument_names()
        policy = job.arguments.get("policy")
        agent: Agent | None = None
        if start.is_dir():
            agent, start = agent_of(job.run_dir)
            folder = start / MODEL if "policy" in agent.networks else None
        else:
            folder = None if policy is None else folder_of(policy)
        env, eval_env = config.open(opened, groups, folder, len(job.seeds))
        if agent is None:
            which: dict[str, Any] = {"seeds": list(job.batch)} if job.batch else {"seed": config.seed}
            agent = AGENTS[job.agent].for_env(env, **which, **job.arguments)
        agent = agent.to(usable_device(config.device))
        learn(Made(config, agent, env, eval_env), job.run_dir, progress=False, resume=True)
