"""Evaluation: an agent's returns in episodes that it does not learn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv

from pg_agents.agents.base import Agent
from pg_agents.agents.common.compatibility import check_spaces
from pg_agents.checks import whole_number
from pg_agents.collection.actor import Actor
from pg_agents.collection.collectors import is_over
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.data.state import State
from pg_agents.seeding import Purpose, spawn
from pg_agents.spaces.environments import NUM_ENVS, open_env
from pg_agents.spaces.wrappers import Wrapper
from pg_agents.training.appended import Value
from pg_agents.training.plan import Plan


@dataclass(frozen=True)
class Evaluation:
    """Returns (undiscounted) and lengths of evaluation episodes.

    Attributes:
        mean_return: mean of the returns.
        std_return: standard deviation of the returns (dividing by n).
        episodes: number of episodes, n.
        returns: undiscounted return of each episode.
        lengths: length of each episode, in steps.
    """

    mean_return: float
    std_return: float
    episodes: int
    returns: list[float]
    lengths: list[int]


@torch.no_grad()
def evaluate(
    agent: Agent,
    env: gym.Env | VectorEnv | str,
    *,
    episodes: int = 100,
    num_envs: int | None = None,
    env_args: Mapping[str, Any] | None = None,
    wrappers: Iterable[str | Wrapper] | None = None,
    greedy: bool = True,
    seed: int = 0,
    max_episode_steps: int | None = None,
    step_timeout: float | None = None,
) -> Evaluation:
    """Run `agent` for `episodes` whole episodes, without learning, and return their returns and lengths.

    All environments play one episode each before any begins its next: counting the episodes that end first would favour
    short ones. Several learners play as many episodes each, `episodes` or a few more in all; an agent's `learner(i)`
    is one of them.

    Args:
        agent: the agent.
        env: any Gymnasium environment, single or vector, which stays open; or an environment's id, from which one is
            made and closed.
        episodes: number of episodes.
        num_envs: if `env` is an id, how many environments are stepped together, for each learner; None: 8, or fewer
            for fewer episodes.
        env_args: if `env` is an id, arguments for the environment's constructor.
        wrappers: if `env` is an id, wrappers of `gymnasium.wrappers` for each single environment, in this
            order, like "FrameStackObservation:stack_size=4".
        greedy: take the most probable action; False: sample.
        seed: of the environment and of sampled actions; training with the same seed has other episodes.
        max_episode_steps: cuts episodes at that many steps, for environments without a time limit; None: the limit with
            which the agent learns, if it has one.
        step_timeout: seconds that one call of the environment may take; None: 120 with workers (AsyncVectorEnv), any
            time in one's own process; see `train`.

    Raises:
        ValueError: episodes below 1, or an episode without end and without max_episode_steps; UserError if the id is
            unknown or its environment cannot be made.
        FloatingPointError: the policy's distribution is not finite.
        FaultyEnvironmentError: the environment failed, or returned something not finite, of a wrong shape or outside
            its space.
    """
    episodes, seed = whole_number("episodes", episodes, 1), whole_number("seed", seed)
    if max_episode_steps is None:
        max_episode_steps = getattr(agent.cadence, "max_episode_steps", None)
    else:
        max_episode_steps = whole_number("max_episode_steps", max_episode_steps, 1)
    learners = agent.policy.num_learners
    if isinstance(env, str) and num_envs is None:
        num_envs = min(-(-episodes // learners), NUM_ENVS)
    how: dict[str, Any] = {"wrappers": wrappers, "num_learners": learners, "step_timeout": step_timeout}
    with open_env(env, num_envs, env_args, **how) as opened:
        check_spaces(agent.policy, agent.spaces, opened)
        seed = spawn(seed, Purpose.EVALUATION)
        adapter = EnvAdapter(opened, seed, step_timeout)
        actor = Actor(adapter, agent.policy, seed, greedy=greedy)
        with adapter.limit:
            return _play(adapter, actor, episodes, max_episode_steps)


def _play(adapter: EnvAdapter, actor: Actor, episodes: int, max_episode_steps: int | None) -> Evaluation:
    returns: list[float] = []
    lengths: list[int] = []
    learners = actor.policy.num_learners
    of_learner = np.arange(adapter.num_envs) % (adapter.num_envs // learners)  # the place of a row among its learner's
    while len(returns) < episodes:
        if not adapter.episode_starts.all():
            adapter.reset()
        active = of_learner < -(-(episodes - len(returns)) // learners)
        while active.any():
            step = adapter.step(actor.act()[0])
            ended = active & (step.done | is_over(step, max_episode_steps, adapter.name))
            returns += step.returns[ended].tolist()
            lengths += step.lengths[ended].tolist()
            active = active & ~ended
    return Evaluation(float(np.mean(returns)), float(np.std(returns)), len(returns), returns, lengths)


class Evaluations:
    """Evaluates an agent every so many steps of a run, in an environment used for nothing else.

    Args:
        env: the environment for evaluations; None: there are no evaluations.
        every: steps between evaluations.
        episodes: episodes in each evaluation.
        seed: of every evaluation: all play the same episodes.
        step_timeout: as in `evaluate`.

    Attributes:
        means: mean return of each evaluation, by the steps learned from before it.
        improved: whether the latest call made an evaluation and it is the best so far.
    """

    def __init__(
        self, env: gym.Env | VectorEnv | None, every: int, episodes: int, seed: int, step_timeout: float | None = None
    ) -> None:
        self.env, self.seed, self.step_timeout = env, seed, step_timeout
        self.every, self.episodes = whole_number("eval_every", every, 1), whole_number("eval_episodes", episodes, 1)
        self.due = 0
        self.means: dict[int, float] = {}
        self.improved = False

    def get_state(self) -> State:
        """Return when the next one is due, and all means."""
        every = None if self.env is None else self.every
        return {"every": every, "due": self.due, "means": [list(pair) for pair in self.means.items()]}

    def set_state(self, state: State) -> None:
        """Go on from a state of `get_state`."""
        self.due, self.means = state["due"], dict(state["means"])

    def __call__(self, agent: Agent, steps: int, *, last: bool = False) -> dict[str, Value]:
        """Return metrics if an evaluation is due: after `steps`, or because it is the run's `last`; else nothing."""
        self.improved = False
        if self.env is None or (steps < self.due and not last):
            return {}
        self.due = (steps // self.every + 1) * self.every
        found = evaluate(agent, self.env, episodes=self.episodes, seed=self.seed, step_timeout=self.step_timeout)
        self.improved = all(found.mean_return > mean for mean in self.means.values())
        self.means[steps] = found.mean_return
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
    count = rows_of(whole_number("eval_episodes", episodes, 1), num_learners)
    how: dict[str, Any] = {"wrappers": wrappers, "step_timeout": step_timeout}
    return open_env(eval_env, count, env_args, **how, argument="eval_env")


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
    return Evaluations(eval_env, every, episodes, spawn(plan.seed, Purpose.SELECTION), plan.step_timeout)
