"""`pg-agents demo`: every agent on an environment of each kind, in about a minute."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import pg_envs
import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from pg_agents.agents import AGENTS
from pg_agents.cli.listing import columns
from pg_agents.cli.parallel import in_processes
from pg_agents.cli.runs import steps_written
from pg_agents.cli.terminal import say
from pg_agents.errors import UserError
from pg_agents.seeding import Purpose, environment_seeds, spawn
from pg_agents.spaces.environments import make_env
from pg_agents.training.evaluation import evaluate
from pg_agents.training.loop import train
from pg_agents.training.writers import fresh_run_dir


@dataclass(frozen=True)
class Task:
    """An environment, and how long every agent learns in it.

    Attributes:
        env: the environment's id.
        num_envs: environments that are stepped together.
        total_steps: steps to learn from.
        episodes: episodes in the greedy evaluation; more if an episode's return is noisy.
        env_args: arguments for the environment's constructor.
        optimum: the best expected return, if `pg_envs.known_returns` does not know it.
        continuing: the task never ends: only agents for continuing tasks learn in it, and returns are per step.
        arguments: by an agent's name, arguments that replace its defaults.
    """

    env: str
    num_envs: int
    total_steps: int
    episodes: int
    env_args: Mapping[str, Any] = field(default_factory=dict)
    optimum: float | None = None
    continuing: bool = False
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


MEANS = (0.2, -0.8, 1.5, 0.4, 1.2, -1.5, -0.2, -1.0, 0.8, -0.5)  # of a ten-armed bandit, drawn from N(0, 1)

TASKS = (  # the slowest first, so that both processes are busy until the end
    Task("pg/Reverse-v0", 64, 50_000, 200, {"length": 3, "symbols": 3}, arguments={"actor-critic": {"num_steps": 7}}),
    Task(  # CartPole's episodes are cut after 500 steps, with a return of 500
        "CartPole-v1",
        16,
        200_000,
        100,
        optimum=500.0,
        arguments={
            "actor-critic": {"num_steps": 4, "learning_rate": 2e-3}
        },  # a step each learns slower and less reliably
    ),
    Task("pg/GridWorld-v0", 16, 50_000, 2_000),
    Task("pg/GaussianBandit-v0", 16, 20_000, 20_000, {"means": MEANS}),
    Task("pg/TwoStateMDP-v0", 16, 50_000, 100, continuing=True),
)
STEPS = 500  # steps in an evaluation episode of a continuing task


@dataclass(frozen=True)
class Job:
    """One agent in one task."""

    agent: str
    task: Task
    seed: int
    scale: float
    run_dir: Path

    @property
    def total_steps(self) -> int:
        """The task's steps, scaled."""
        return max(1, round(self.task.total_steps * self.scale))


@dataclass(frozen=True)
class Row:
    """A job's results: mean returns, and seconds of training."""

    agent: str
    env: str
    random: float
    learned: float
    optimum: float | None
    seconds: float


def demo(
    root: Path = Path("runs"),
    *,
    scale: float = 1.0,
    processes: int = 2,
    seed: int = 0,
    tasks: tuple[Task, ...] = TASKS,
) -> list[Row]:
    """Train every agent in every task, print a table of what they learned, and return it.

    Args:
        root: the folder in which a new folder with the runs is made.
        scale: multiplies every run's number of steps.
        processes: how many processes train at the same time; 1: only this one.
        seed: of every run.
        tasks: the tasks.

    Raises:
        UserError: an argument out of range.
        KeyboardInterrupt: after Ctrl-C, once the running jobs have saved their agents.
    """
    for name, value, fine in (("scale", scale, 0 < scale < 1e6), ("processes", processes, processes >= 1)):
        if not fine:
            raise UserError(f"{name} must be a number above 0, got {value}")
    if seed < 0:
        raise UserError(f"seed must be a whole number, 0 or above, got {seed}")
    run_dir, started = fresh_run_dir("demo", root, argument="root"), time.perf_counter()
    jobs = [
        Job(agent, task, seed, scale, run_dir / f"{agent}-{task.env.replace('/', '-').replace(':', '-')}")
        for task in tasks
        for agent, form in AGENTS.items()
        if task.continuing == getattr(form, "continuing", False)
    ]
    with _bars(jobs) as show:
        rows = in_processes(run_job, jobs, processes, show)
    print(f"\n{table(rows)}")
    print(f"\n{len(rows)} runs in {time.perf_counter() - started:.0f} s; returns are means of greedy episodes")
    say(f"curves, probabilities and generated texts:  tensorboard --logdir {run_dir}")
    return rows


def table(rows: list[Row]) -> str:
    """Return the results as text."""
    head = ["agent", "environment", "random", "learned", "optimum", "seconds"]
    cells = []
    for row in rows:
        returns = ("–" if value is None else f"{value:.3g}" for value in (row.random, row.learned, row.optimum))
        cells.append([row.agent, row.env, *returns, f"{row.seconds:.1f}"])
    return columns(head, cells, right=(2, 3, 4, 5))


def run_job(job: Job) -> Row:
    """Train, evaluate and return the job's row of the table."""
    task, env_args = job.task, dict(job.task.env_args)
    torch.set_num_threads(1)
    groups = "group_size" in AGENTS[job.agent].argument_names()
    with closing(make_env(task.env, task.num_envs, env_args, a_seed_each=groups)) as env:
        agent = AGENTS[job.agent].for_env(env, seed=job.seed, **task.arguments.get(job.agent, {}))
        result = train(
            agent,
            env,
            total_steps=job.total_steps,
            seed=job.seed,
            run_dir=job.run_dir,
            progress=False,
            config={"env": task.env, "env_args": env_args, "device": "cpu"},
        )
        known = pg_envs.known_returns(env)
    with closing(make_env(task.env, 100, env_args)) as env:
        limit = STEPS if task.continuing else None
        learned = evaluate(agent, env, episodes=task.episodes, max_episode_steps=limit).mean_return / (limit or 1)
    random = random_return(task) if known.random is None else known.random
    optimum = task.optimum if known.optimal is None else known.optimal
    return Row(job.agent, task.env, random, learned, optimum, result.wall_seconds)


def random_return(task: Task, episodes: int = 200) -> float:
    """Return the mean return of a policy that draws its actions uniformly, measured."""
    with closing(gym.make(task.env, **task.env_args)) as env:
        env.action_space.seed(spawn(0, Purpose.ACTIONS))
        total = 0.0
        for episode in range(episodes):
            env.reset(seed=environment_seeds(0, 1)[0] if episode == 0 else None)
            done = False
            while not done:
                _, reward, terminated, truncated, _ = env.step(env.action_space.sample())
                total, done = total + float(reward), terminated or truncated
    return total / episodes


@contextmanager
def _bars(jobs: list[Job]) -> Iterator[Callable[[], None]]:
    """Show a progress bar for each job; yield what brings them up to date."""
    head = TextColumn("{task.description}")
    with Progress(head, BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeElapsedColumn()) as progress:
        bars = [progress.add_task(f"{job.agent:20}{job.task.env}", total=job.total_steps, start=False) for job in jobs]

        def show() -> None:
            for bar, job in zip(bars, jobs, strict=True):
                if job.run_dir.exists():
                    progress.start_task(bar)
                    progress.update(bar, completed=min(steps_written(job.run_dir), job.total_steps))

        yield show
