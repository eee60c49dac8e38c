"""`pg-agents demo`: every agent on an environment of each kind, with several seeds where they learn as one batch."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import pg_envs
import torch

from pg_agents.agents import AGENTS
from pg_agents.agents.common.make_agent import make_parts
from pg_agents.cli.demo_progress import shown
from pg_agents.cli.demo_tasks import TASKS, Job, Task
from pg_agents.cli.listing import columns
from pg_agents.cli.parallel import in_processes
from pg_agents.cli.terminal import say
from pg_agents.errors import UserError
from pg_agents.seeding import Purpose, environment_seeds, spawn
from pg_agents.statistics import interquartile_mean, interval
from pg_agents.training.evaluation import evaluate
from pg_agents.training.loop import train
from pg_agents.training.writers import fresh_run_dir

SEEDS = 8  # of every run that can be several learners at once; an interval of fewer is wide
STEPS = 500  # in an evaluation episode of a continuing task
REACHED = 0.95  # of the way from random returns to the best: the rest is noise, or a start that is hopeless
# TensorBoard selects no run at first if there are more than 40. This page has the runs whose names end like an
# environment's, in v and a digit: those of all seeds together.
WITHOUT_SEEDS = "http://localhost:6006/?runFilter=v.$#scalars&regexInput=v.$"


@dataclass(frozen=True)
class Row:
    """A job's results: the mean return of each seed, those of a random and of the best policy, seconds of training."""

    agent: str
    env: str
    random: float
    learned: tuple[float, ...]
    optimum: float | None
    seconds: float
    reason: str = "its steps are few"  # why a seed may be below the optimum

    @property
    def reached(self) -> bool:
        """Whether the seeds' interquartile mean is at the optimum."""
        return self._is_best(interquartile_mean(self.learned))

    @property
    def below(self) -> int:
        """How many seeds are not at the optimum."""
        return sum(not self._is_best(mean) for mean in self.learned)

    def _is_best(self, mean: float) -> bool:
        best = self.random if self.optimum is None else self.optimum
        return mean - self.random >= REACHED * (best - self.random)


def demo(
    root: Path = Path("runs"),
    *,
    scale: float = 1.0,
    processes: int = 2,
    seed: int = 0,
    quiet: bool = False,
    tasks: tuple[Task, ...] = TASKS,
) -> list[Row]:
    """Train every agent in every task, print a table of what they learned, and return it.

    Args:
        root: the folder in which a new folder with the runs is made.
        scale: multiplies every run's number of steps.
        processes: how many processes train at the same time; 1: only this one.
        seed: the first seed of every run.
        quiet: show no progress: no bars on a terminal, no lines elsewhere.
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
        Job(agent, task, tuple(range(seed, seed + count)), scale, run_dir / f"{agent}-{_as_folder(task.env)}")
        for task in tasks
        for agent, count in learners(task).items()
    ]
    with shown(jobs, quiet) as show:
        rows = in_processes(run_job, jobs, processes, show)
    print(f"\n{table(rows)}\n")
    runs = sum(len(row.learned) for row in rows)
    print(f"{len(rows)} rows, {runs} seeds in {time.perf_counter() - started:.0f} s; learned: mean returns of greedy")
    print("episodes, of several seeds the interquartile mean of their means and its 95 % interval")
    print("\n".join(shortfalls(rows, scale)))
    say(f"curves, probabilities and generated texts:  tensorboard --logdir {run_dir}")
    say(f"without the folders of single seeds:        {WITHOUT_SEEDS}")
    return rows


def _as_folder(env: str) -> str:
    return env.replace("/", "-").replace(":", "-")


def learners(task: Task) -> dict[str, int]:
    """Return the agents that learn in a task, and how many learners each of them can be at once there, 1 or `SEEDS`."""
    forms = {agent: form for agent, form in AGENTS.items() if form.continuing == task.continuing}
    with closing(gym.make(task.env, **task.env_args)) as env:
        spaces = env.observation_space, env.action_space
    counts = {}
    for agent, form in forms.items():
        options = task.settings(agent).arguments | {"num_learners": 2}
        try:
            options = make_parts(form.form(), spaces, (0, 1), options).options
            form.configuration(None, options).check_learners(2)
        except ValueError:  # its networks cannot be stacked, or its update would couple them
            counts[agent] = 1
        else:
            counts[agent] = SEEDS
    return counts


def table(rows: list[Row]) -> str:
    """Return the results as text."""
    head = ["agent", "environment", "seeds", "random", "learned", "95 % interval", "optimum", "seconds"]
    cells = []
    for row in rows:
        several = len(row.learned) > 1
        between = "{:.3g} … {:.3g}".format(*interval(row.learned)) if several else "–"
        best = "–" if row.optimum is None else f"{row.optimum:.3g}"
        means = f"{row.random:.3g}", f"{interquartile_mean(row.learned):.3g}", between, best
        cells.append([row.agent, row.env, str(len(row.learned)), *means, f"{row.seconds:.1f}"])
    return columns(head, cells, right=range(2, len(head)))


def shortfalls(rows: list[Row], scale: float) -> list[str]:
    """Return how many rows are at their optimum, and a line for each with a seed that is not, with the reason."""
    lines = [
        f"{'at' if row.reached else 'not at'} the optimum: {row.agent} in {row.env}; below it {row.below} of "
        f"{len(row.learned)} seeds: {row.reason if scale >= 1 else f'it had {scale:g} of its steps'}"
        for row in rows
        if row.below
    ]
    at = sum(row.reached for row in rows)
    way = f"at least {100 * REACHED:.0f} % of the way there from random returns"
    return [f"{at} of {len(rows)} are at the optimum: {way}", *lines]


def run_job(job: Job) -> Row:
    """Train, evaluate and return the job's row of the table."""
    task, settings = job.task, job.task.settings(job.agent)
    torch.set_num_threads(1)
    several: dict[str, Any] = {"seeds": job.seeds} if len(job.seeds) > 1 else {}
    made: dict[str, Any] = {"num_envs": settings.num_envs, "env_args": task.env_args}
    agent = AGENTS[job.agent].for_env(task.env, seed=job.seeds[0], **several, **made, **settings.arguments)
    result = train(
        agent,
        task.env,
        total_steps=job.total_steps,
        seed=job.seeds[0],
        run_dir=job.run_dir,
        progress=False,
        config={"device": "cpu"},
        **made,
    )
    limit = STEPS if task.continuing else None
    how: dict[str, Any] = {"num_envs": -(-100 // len(job.seeds)), "env_args": task.env_args, "max_episode_steps": limit}
    found = evaluate(agent, task.env, episodes=task.episodes, **how)
    learned = tuple(one.mean_return / (limit or 1) for one in found.learners or [found])
    with closing(gym.make(task.env, **task.env_args)) as env:
        known = pg_envs.known_returns(env)
    random = random_return(task) if known.random is None else known.random
    return Row(job.agent, task.env, random, learned, known.optimal, result.wall_seconds, task.reason)


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
