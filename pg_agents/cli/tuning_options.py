"""The options of `pg-agents tune`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from pg_agents.agents import Agent
from pg_agents.cli.importing import Imports


@dataclasses.dataclass
class TuneOptions:
    """Look for better settings of an agent in an environment, by trials of several seeds each."""

    env: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ENV")]
    """Id of a Gymnasium environment: CartPole-v1, ALE/Pong-v5, module:Mine-v0 (the module is imported)."""
    budget: str | None = None
    """Time for everything, the last runs included: 90s, 30m, 2h; 30m by default, any time with --trials."""
    trials: int | None = None
    """How many settings are tried, also by earlier and by other processes with the same --storage."""
    seeds: int = 8
    """Seeds of each trial, from 100 on, which learn as one batch where they can."""
    total_steps: int | None = None
    """Steps that each learner learns from; by default those of the tuned settings, or 100000."""
    num_envs: int | None = None
    """Environments of each learner; by default it is looked for."""
    env_arg: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """name=value for the environment's constructor."""
    eval_env_arg: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """name=value for the evaluations' environment, added to --env-arg's or replacing them."""
    wrapper: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A wrapper of gymnasium.wrappers for each single environment, as in train."""
    imports: Imports = ()
    storage: str | None = None
    """The URL of a database, such as sqlite:///tuning.db: the same command then goes on after it was stopped or killed,
    and may run on several machines at a time; by default trials are in memory."""
    out: Path | None = None
    """The folder for results; by default a new one under runs/."""
    jobs: int = 1
    """Trials that run at a time, each in a process of its own."""
    seed: int = 0
    """Of the settings that are drawn; with --jobs and --storage they are others each time."""
    step_timeout: float | None = None
    """Seconds that one call of the environment may take; by default 120 with workers, any time without."""
    device: str = "cpu"
    """The device that holds the networks: cpu, cuda, cuda:1."""
    quiet: bool = False
    """Show no progress and no result."""


@dataclasses.dataclass
class TuneCommand:
    """`TuneOptions`, and by name the agent's arguments that were typed, which are not looked for."""

    agent: type[Agent]
    run: TuneOptions
    arguments: dict[str, Any]
