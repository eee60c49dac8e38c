"""What is tuned: an agent in an environment, and what its learners return with some settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import gymnasium as gym

from pg_agents.agents import AGENTS, Agent
from pg_agents.checks import whole_number
from pg_agents.shown import shortened
from pg_agents.spaces.environments import open_env
from pg_agents.statistics import interval
from pg_agents.training.loop import train
from pg_agents.training.run import Run, Summary
from pg_agents.training.tuned import Tuned

POINTS = 8  # parts of a run, after each of which there is an evaluation, and a trial may be given up
EPISODES = 10  # of each learner in each evaluation
FEWEST = 3  # seeds that are trained one after the other, before a trial may be given up
LEVEL = 0.95

Report = Callable[[int, list[float]], None]


@dataclass(frozen=True)
class Task:
    """An agent in an environment.

    Attributes:
        agent: the agent's name.
        env: the environment's id.
        seeds: of the learners.
        total_steps: that each of them learns from.
        fixed: arguments of the agent that are not looked for, by name.
        num_envs: environments of each learner; None: it is looked for.
        env_args: arguments for the environment's constructor.
        eval_env_args: those of the evaluations' environment, added to them or replacing them.
        wrappers: of each single environment, as texts.
        step_timeout: as in `train`.
        device: that holds the networks.
        together: whether the seeds learn as one batch; else one after the other.
    """

    agent: str
    env: str
    seeds: tuple[int, ...]
    total_steps: int
    fixed: dict[str, Any]
    num_envs: int | None
    env_args: dict[str, Any]
    eval_env_args: dict[str, Any]
    wrappers: tuple[str, ...]
    step_timeout: float | None = None
    device: str = "cpu"
    together: bool = True

    @property
    def kind(self) -> type[Agent]:
        """The agent's class."""
        return AGENTS[self.agent]

    def settings(self, num_envs: int, arguments: dict[str, Any]) -> Tuned:
        """Return settings of this task."""
        return Tuned(num_envs, self.total_steps, arguments, self.env_args, self.wrappers)

    def open(self, opened: ExitStack, num_envs: int, learners: int, *, evaluated: bool = False) -> gym.vector.VectorEnv:
        """Return the environment in which so many learners learn, or are evaluated, which `opened` closes."""
        env_args = self.env_args | (self.eval_env_args if evaluated else {})
        groups = "group_size" in self.kind.argument_names() and not evaluated
        how: dict[str, Any] = {"wrappers": self.wrappers or None, "step_timeout": self.step_timeout}
        return opened.enter_context(
            open_env(self.env, num_envs, env_args, **how, a_seed_each=groups, num_learners=learners)
        )


def returns_of(task: Task, settings: Tuned, seeds: Sequence[int], report: Report) -> list[float]:
    """Return what each seed's learner returns in the evaluation after its last update.

    Args:
        task: what is tuned.
        settings: the number of environments, and the agent's arguments.
        seeds: of the learners.
        report: called with a number that rises and what each learner has returned: after each evaluation, with how many
            eighths of the run are over, or where the learners learn one after the other, after each of them from the
            third on, with how many have learned; an error in it ends the run.
    """
    if task.together and len(seeds) > 1:
        return _returns(task, settings, seeds, report)
    found: list[float] = []
    for seed in seeds:
        found += _returns(task, settings, [seed], lambda point, returns: None)
        if len(found) >= min(FEWEST, len(seeds)):
            report(len(found), found)
    return found


def _returns(task: Task, settings: Tuned, seeds: Sequence[int], report: Report) -> list[float]:
    count = len(seeds)
    total, every = count * task.total_steps, count * math.ceil(task.total_steps / POINTS)
    how: dict[str, Any] = {"seeds": seeds} if count > 1 else {"seed": seeds[0]}
    with ExitStack() as opened:
        env = task.open(opened, settings.num_envs, count)
        eval_env = task.open(opened, EPISODES, count, evaluated=True)
        agent = task.kind.for_env(env, **how, **settings.arguments).to(task.device)
        lengths: dict[str, Any] = {"total_steps": total, "eval_every": every, "log_every": every}
        evaluated: dict[str, Any] = {"eval_env": eval_env, "eval_episodes": count * EPISODES}
        quiet: dict[str, Any] = {"progress": False, "probes": [_reporting(total, every, report)]}
        summary = train(agent, env, seed=seeds[0], step_timeout=task.step_timeout, **lengths, **evaluated, **quiet)
    return _last([summary] if count == 1 else summary.learners)


def _reporting(total: int, every: int, report: Report) -> Callable[[Run], None]:
    def probe(run: Run) -> None:
        if run.steps in run.evaluations.means:
            learners = run.evaluations.learners or [run.evaluations.means]
            point = POINTS if run.steps >= total else run.steps // every
            report(point, [means[max(means)] for means in learners])

    return probe


def _last(summaries: Sequence[Summary]) -> list[float]:
    return [one.evaluations[max(one.evaluations)] for one in summaries]


def lower(returns: Sequence[float]) -> float:
    """Return the score of returns: the lower end of the 95 % interval of their interquartile mean."""
    return interval(returns, LEVEL)[0]


def refused_batch(task: Task, settings: Tuned) -> str | None:
    """Return why the seeds cannot learn as one batch, or None; make everything for one, to see whether it can be made.

    Raises:
        ValueError: the environment or the agent cannot be made.
    """
    whole_number("total_steps", task.total_steps, 1)
    if "policy" in task.fixed:
        return "language models cannot be stacked"
    if task.env_args.get("vectorization_mode") == "async":
        return "the environments of each have processes"
    with ExitStack() as opened:
        task.kind.for_env(task.open(opened, settings.num_envs, 1), **settings.arguments)
    with ExitStack() as opened:
        try:
            task.kind.for_env(task.open(opened, settings.num_envs, 2), seeds=(0, 1), **settings.arguments)
        except ValueError as error:
            return shortened(str(error), 200)
    return None
