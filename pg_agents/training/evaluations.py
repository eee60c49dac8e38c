"""Evaluations during a run: when they are made, what they found, and which one was the best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from pg_agents.agents.base import Agent
from pg_agents.agents.common.compatibility import check_spaces
from pg_agents.checks import whole_number
from pg_agents.data.state import State
from pg_agents.seeding import Purpose, spawn
from pg_agents.spaces.environments import open_env
from pg_agents.spaces.wrappers import Wrapper
from pg_agents.training.appended import Value
from pg_agents.training.evaluation import Evaluation, evaluate
from pg_agents.training.plan import Plan

Means = dict[int, float]  # mean return of each evaluation, by the steps learned from before it


class Evaluations:
    """Evaluates an agent every so many steps of a run, in an environment used for nothing else.

    Args:
        env: the environment for evaluations; None: there are no evaluations.
        every: steps between evaluations.
        episodes: episodes in each evaluation.
        seeds: of every evaluation, one for each learner: all play the same episodes.
        step_timeout: as in `evaluate`.

    Attributes:
        means: mean return of each evaluation, by the steps learned from before it.
        learners: of several independent learners, the same of each, by its own steps; [] of one.
        found: what the latest call has found; None: it made no evaluation.
        improved: whether the latest call made an evaluation and it is the best so far.
        new: the learners of whom it was the first one after their steps: who has finished is not evaluated again.
        have_improved: those of them of whom it is the best so far.
    """

    def __init__(
        self,
        env: gym.Env | VectorEnv | None,
        every: int,
        episodes: int,
        seeds: Sequence[int],
        step_timeout: float | None = None,
    ) -> None:
        self.env, self.seeds, self.step_timeout = env, seeds, step_timeout
        self.every, self.episodes = whole_number("eval_every", every, 1), whole_number("eval_episodes", episodes, 1)
        self.due = 0
        self.means: Means = {}
        self.learners: list[Means] = [{} for _ in seeds] if len(seeds) > 1 else []
        self.found: Evaluation | None = None
        self.improved, self.have_improved = False, list[int]()
        self.new: list[int] = []

    def get_state(self) -> State:
        """Return when the next one is due, and all means."""
        every, learners = None if self.env is None else self.every, list(map(_pairs, self.learners))
        return {"every": every, "due": self.due, "means": _pairs(self.means), "learners": learners}

    def set_state(self, state: State) -> None:
        """Go on from a state of `get_state`."""
        self.due, self.means = state["due"], dict(state["means"])
        self.learners = list(map(dict, state["learners"]))

    def is_due(self, steps: int, *, last: bool = False) -> bool:
        """Return whether the next call makes an evaluation; what the latest one has found is forgotten."""
        self.found, self.improved, self.have_improved = None, False, []
        return self.env is not None and (steps >= self.due or last)

    def __call__(
        self, agent: Agent, steps: int, of_learners: Sequence[int] | None = None, *, last: bool = False
    ) -> dict[str, Value]:
        """Return metrics if an evaluation is due: after `steps`, or because it is the run's `last`; else nothing.

        Args:
            agent: the agent.
            steps: learned from so far.
            of_learners: of which each of several learners has learned from so many.
            last: whether the run ends here.
        """
        if not self.is_due(steps, last=last) or self.env is None:
            return {}
        self.due = (steps // self.every + 1) * self.every
        how: dict[str, Any] = {"seed": self.seeds, "step_timeout": self.step_timeout}
        self.found = evaluate(agent, self.env, episodes=self.episodes, **how)
        self.improved = _added(self.means, steps, self.found)
        steps_of = [*(of_learners or ())]
        self.new = [i for i, means in enumerate(self.learners) if steps_of[i] not in means]
        self.have_improved = [i for i in self.new if _added(self.learners[i], steps_of[i], self.found.learners[i])]
        return row_of(self.found)


def _added(means: Means, steps: int, found: Evaluation) -> bool:
    """Add an evaluation, and return whether it is the best so far."""
    best = all(found.mean_return > mean for mean in means.values())
    means[steps] = found.mean_return
    return best


def _pairs(means: Means) -> State:
    return [list(pair) for pair in means.items()]


def row_of(found: Evaluation) -> dict[str, Value]:
    """Return the metrics of an evaluation."""
    return {
        "eval/ep_rew_mean": found.mean_return,
        "eval/ep_rew_std": found.std_return,
        "eval/ep_len_mean": float(np.mean(found.lengths)),
    }


def rows_of(episodes: int, num_learners: int) -> int:
    """Return how many environments play so many episodes at once, as many for each learner."""
    return -(-episodes // num_learners) * num_learners


def open_eval_env(
    eval_env: gym.Env | VectorEnv | str | None,
    episodes: int,
    env_args: Mapping[str, Any] | None,
    wrappers: Iterable[str | Wrapper] | None,
    step_timeout: float | None = None,
    num_learners: int = 1,
) -> AbstractContextManager[Any]:
    """Return a context with the environment for evaluations: the given one, or one made from the given id.

    From an id it makes as many copies as an evaluation has episodes, and as many for each learner.
    """
    if not isinstance(eval_env, str):
        return nullcontext(eval_env)
    each = -(-whole_number("eval_episodes", episodes, 1) // num_learners)
    how: dict[str, Any] = {"wrappers": wrappers, "num_learners": num_learners, "step_timeout": step_timeout}
    return open_env(eval_env, each, env_args, **how, argument="eval_env")


def make_evaluations(
    agent: Agent,
    env: gym.Env | VectorEnv,
    eval_env: gym.Env | VectorEnv | None,
    every: int | None,
    episodes: int,
    plan: Plan,
) -> Evaluations:
    """Return the evaluations of a run in `env`: 20 of them if `every` is None.

    Raises:
        ValueError: eval_env is the run's own environment, has other spaces, or is missing though `every` is given.
    """
    if eval_env is None:
        if every is not None:
            raise ValueError(f"eval_every={every!r} needs an environment to evaluate in: give eval_env=…")
    elif not isinstance(eval_env, gym.Env | VectorEnv):
        raise ValueError(f"eval_env must be an environment, or the id of one, got {eval_env!r}")
    elif eval_env.unwrapped is env.unwrapped:
        raise ValueError(
            "eval_env must be another environment than env, which evaluations would reset; make a second one"
        )
    else:
        check_spaces(agent.policy, agent.spaces, eval_env, name="eval_env")
    every = max(1, plan.total_steps // 20) if every is None else every
    seeds = [plan.seed] if agent.policy.num_learners == 1 else agent.seeds
    return Evaluations(eval_env, every, episodes, [spawn(one, Purpose.SELECTION) for one in seeds], plan.step_timeout)
