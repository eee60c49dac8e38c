"""The commands' options as dataclasses; an agent's options are made from its configuration."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import tyro

from pg_agents.agents import Agent
from pg_agents.cli.comparing_options import CompareOptions, PlotOptions, RunsOptions
from pg_agents.cli.importing import Imports
from pg_agents.cli.model_options import ExportOptions, GenerateOptions, RunPath
from pg_agents.cli.pushing_options import PushOptions
from pg_agents.cli.tuning_options import TuneCommand, TuneOptions

PROGRAM = "pg-agents"
Env = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ENV")]
EnvOrFile = Annotated[
    tyro.conf.Positional[str], tyro.conf.arg(metavar="ENV", help_behavior_hint="(may stand in --config instead)")
]


@dataclasses.dataclass
class ListOptions:
    """Show the agents and the environments that come with them."""

    json: bool = False
    """Write JSON to standard output."""


@dataclasses.dataclass
class RunOptions:
    """Train an agent."""

    env: EnvOrFile = ""
    """Id of a Gymnasium environment: CartPole-v1, ALE/Pong-v5, module:Mine-v0 (the module is imported)."""
    total_steps: int = 100_000
    """Environment steps to learn from, summed over the parallel environments."""
    seed: int = 0
    """The same seed on the same machine gives the same bits."""
    seeds: str | None = None
    """Train with several seeds: how many, from --seed on (16), or which (3,5,9). --total-steps and --num-envs are those
    of each, --run-dir is the folder of their folders. Processes that torchrun has started share the seeds out."""
    jobs: int | None = None
    """Train each of --seeds in a process of its own, so many at a time, also where all could learn as one batch; where
    they cannot, by default as many as there are cores."""
    num_envs: int = 8
    """Environments that are stepped together."""
    env_arg: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """name=value for the environment's constructor."""
    eval_env_arg: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """name=value for the evaluations' environment, added to --env-arg's or replacing them; e.g. split=held_out, or
    reward_clipping=False for the points of a game of Atari."""
    wrapper: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A wrapper of gymnasium.wrappers for each single environment, in the order typed: AtariPreprocessing,
    FrameStackObservation:stack_size=4, FilterObservation:filter_keys=[image,direction]."""
    imports: Imports = ()
    asynchronous: Annotated[bool, tyro.conf.arg(name="async")] = False
    """Step each environment in a process of its own, for environments that are slow."""
    run_dir: Path | None = None
    """A new or empty folder; by default a new one under runs/."""
    tuned: bool = False
    """Use the tuned settings for this agent and environment; typed options and those of --config take precedence."""
    config: Path | None = None
    """A file in TOML or JSON with arguments of the agent, the environment and the run, as tune writes it, or a run's
    config.json; typed options take precedence."""
    trust_config: bool = False
    """Import the module that --config names in its env, which runs its code."""
    stop_return: float | None = None
    """End the run once the mean return of the newest training episodes, 100 or more, is at least this."""
    eval_every: int | None = None
    """Steps between evaluations, made in a second environment; by default there are none."""
    eval_episodes: int | None = None
    """Episodes in each evaluation (needs --eval-every); 10 by default."""
    step_timeout: float | None = None
    """Seconds that one call of the environment may take; by default 120 with workers, any time without."""
    checkpoint_every: str | None = None
    """Steps between checkpoints, or seconds as 60s; by default 60s, or more if writing one takes more than 1.2 s."""
    keep_checkpoints: int = 3
    """Checkpoints that are kept, the newest; 0: none is written, and the run cannot be resumed."""
    device: str = "cpu"
    """The device that holds the networks: cpu, cuda, cuda:1."""
    shard: bool = False
    """Share a language model's parameters out among the processes of torchrun while they learn (FSDP)."""
    threads: int = 1
    """Torch's threads; 1 is fastest for small networks."""
    log_every: int | None = None
    """Steps between rows of metrics; by default a 200th of the total."""
    track: str | None = None
    """Send the run to a tracker, too: wandb, mlflow or trackio (see docs/trackers.md)."""
    quiet: bool = False
    """Show no progress and no result."""
    json: bool = False
    """Write the summary to standard output as one line of JSON; progress goes to standard error."""


@dataclasses.dataclass
class ResumeOptions:
    """Go on with a run that was stopped, from its newest checkpoint, or with one that has ended."""

    path: RunPath
    """A run's folder, as train wrote it; with --seeds that of all, or of one."""
    total_steps: int | None = None
    """Environment steps of the whole run, of several seeds those of each; by default as before. Schedules follow it."""
    stop_return: float | None = None
    """End the run once the mean return is at least this; by default as before."""
    step_timeout: float | None = None
    """Seconds that one call of the environment may take; by default as before."""
    device: str | None = None
    """The device that holds the networks; by default as before."""
    trust_run_folder: bool = False
    """Import the module that the folder's config.json names, which runs its code."""
    imports: Imports = ()
    quiet: bool = False
    """Show no progress and no result."""
    json: bool = False
    """Write the summary to standard output as one line of JSON; progress goes to standard error."""


@dataclasses.dataclass
class EvaluateOptions:
    """Play episodes with a trained agent, without learning, and report their returns."""

    path: RunPath
    """A run's folder, as train wrote it; with /best added, the agent that did best in the run's evaluations."""
    episodes: int = 100
    """Number of episodes; of several learners, of each."""
    stochastic: bool = False
    """Sample the actions instead of taking the most probable ones."""
    seed: int = 0
    """Seed of the environment and of sampled actions."""
    max_episode_steps: int | None = None
    """Cut episodes at this many steps; by default as in training."""
    env_arg: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """name=value for the environment's constructor, added to training's or replacing them; e.g. split=held_out."""
    video: bool = False
    """Record videos of episodes 0, 1, 8, 27, … in the folder's videos/."""
    step_timeout: float | None = None
    """Seconds that one call of the environment may take; by default 120 with workers, any time without."""
    device: str = "cpu"
    """The device that holds the networks: cpu, cuda, cuda:1."""
    trust_run_folder: bool = False
    """Import the module that the folder's config.json names, which runs its code."""
    imports: Imports = ()
    json: bool = False
    """Write JSON to standard output."""


@dataclasses.dataclass
class GradientsOptions:
    """Compare estimators of the policy gradient with the exact gradient, in a small problem with a random policy."""

    env: Env
    """Id of a bandit, a finite Markov decision process or a token task."""
    samples: int = 4_000
    """Number of trajectories to draw if there are too many to enumerate."""
    batch_size: int = 4
    """Number of trajectories in one estimate."""
    discount: float | None = None
    """The objective's discount γ; by default the process's own."""
    horizon: int | None = None
    """Cut episodes at this many steps; by default as the environment does."""
    seed: int = 0
    """Seed of the policy, of the samples and of the problem's own random numbers."""
    env_arg: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """name=value for the environment's constructor."""
    imports: Imports = ()
    run_dir: Path | None = None
    """A new or empty folder; by default a new one under runs/."""
    json: bool = False
    """Write JSON to standard output."""


@dataclasses.dataclass
class DemoOptions:
    """Train every agent on a bandit, decision processes, texts and CartPole, with 8 seeds where it can: 90 seconds."""

    root: Path = Path("runs")
    """The folder in which a new folder with the runs is made."""
    scale: float = 1.0
    """Multiplies every run's number of steps; below 1 the results are worse."""
    processes: int = 2
    """Number of processes that train at the same time."""
    seed: int = 0
    """The first seed of every run."""
    quiet: bool = False
    """Show no progress, only what was learned."""


@dataclasses.dataclass
class TrainOptions:
    """`RunOptions`, by name the agent's arguments that were typed, and several seeds if they were."""

    agent: type[Agent]
    run: RunOptions
    arguments: dict[str, Any]
    seeds: list[int] | None = None


OfRuns = ResumeOptions | EvaluateOptions | GenerateOptions | ExportOptions | PushOptions | RunsOptions
Options = ListOptions | TrainOptions | TuneCommand | OfRuns | GradientsOptions | DemoOptions
COMMANDS: dict[str, type] = {
    "list": ListOptions, "train": RunOptions, "tune": TuneOptions, "resume": ResumeOptions, "evaluate": EvaluateOptions,
    "generate": GenerateOptions, "export": ExportOptions, "push": PushOptions, "compare": CompareOptions,
    "plot": PlotOptions, "gradients": GradientsOptions, "demo": DemoOptions,
}  # fmt: skip
