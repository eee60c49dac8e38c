"""How well an agent does, measured on episodes it does not learn from."""

from __future__ import annotations

from collections.abc import Mapping
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
from pg_agents.seeding import Purpose, spawn
from pg_agents.spaces.environments import NUM_ENVS, open_env
from pg_agents.training.plan import Plan
from pg_agents.training.writers import Value


@dataclass(frozen=True)
class Evaluation:
    """Returns (undiscounted) and lengths of evaluation episodes.

    Attributes:
        mean_return: over the episodes.
        std_return: their standard deviation (dividing by n).
        episodes: n.
        returns: of each.
        lengths: of each, in steps.
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
    greedy: bool = True,
    seed: int = 0,
    max_episode_steps: int | None = None,
) -> Evaluation:
    """Run `agent` for `episodes` whole episodes and return what it collected; nothing is learned.

    Every environment plays one episode, then every one its next: counting the first to end would favour short ones.

    Args:
        agent: any.
        env: any Gymnasium environment, single or vector, which is left open; or the id of one, which is made and
            closed.
        episodes: how many.
        num_envs: of an id: environments that are stepped together; None: 8, or as many as there are episodes.
        env_args: of an id: arguments for the environment's constructor.
        greedy: take the most probable action; False: sample.
        seed: of the environment and of sampled actions; whatever it is, no training had the same episodes.
        max_episode_steps: episodes are cut at that many steps, for environments without a time limit; None: where the
            agent cuts them when it learns.

    Raises:
        ValueError: episodes below 1, or an episode without end and without max_episode_steps; UserError where an id is
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
    if isinstance(env, str) and num_envs is None:
        num_envs = min(episodes, NUM_ENVS)
    with open_env(env, num_envs, env_args) as opened:
        check_spaces(agent.policy, agent.spaces, opened)
        return _play(agent, opened, episodes, greedy, spawn(seed, Purpose.EVALUATION), max_episode_steps)


def _play(
    agent: Agent, env: gym.Env | VectorEnv, episodes: int, greedy: bool, seed: int, max_episode_steps: int | None
) -> Evaluation:
    adapter = EnvAdapter(env, seed)
    actor = Actor(adapter, agent.policy, seed, greedy=greedy)
    returns: list[float] = []
    lengths: list[int] = []
    while len(returns) < episodes:
        if not adapter.episode_starts.all():
            adapter.reset()
        active = np.arange(adapter.num_envs) < episodes - len(returns)
        while active.any():
            step = adapter.step(actor.act()[0])
            ended = active & (step.done | is_over(step, max_episode_steps, adapter.name))
            returns += step.returns[ended].tolist()
            lengths += step.lengths[ended].tolist()
            active = active & ~ended
    return Evaluation(float(np.mean(returns)), float(np.std(returns)), len(returns), returns, lengths)


class Evaluations:
    """What an agent reaches on the way, in an environment of its own.

    Args:
        env: to evaluate in; None: there are no evaluations.
        every: steps between them.
        episodes: in each.
        seed: of all of them: each plays the same episodes.

    Attributes:
        means: mean returns by the steps learned from.
        improved: whether the latest call made an evaluation that is the best so far.
    """

    def __init__(self, env: gym.Env | VectorEnv | None, every: int, episodes: int, seed: int) -> None:
        self.env, self.seed = env, seed
        self.every, self.episodes = whole_number("eval_every", every, 1), whole_number("eval_episodes", episodes, 1)
        self.due = 0
        self.means: dict[int, float] = {}
        self.improved = False

    def __call__(self, agent: Agent, steps: int, *, last: bool = False) -> dict[str, Value]:
        """Return curves where an evaluation is due after `steps` or the run's `last`, else nothing."""
        self.improved = False
        if self.env is None or (steps < self.due and not last):
            return {}
        self.due = (steps // self.every + 1) * self.every
        found = evaluate(agent, self.env, episodes=self.episodes, seed=self.seed)
        self.improved = all(found.mean_return > mean for mean in self.means.values())
        self.means[steps] = found.mean_return
        return {
            "eval/ep_rew_mean": found.mean_return,
            "eval/ep_rew_std": found.std_return,
            "eval/ep_len_mean": float(np.mean(found.lengths)),
        }


def open_eval_env(
    eval_env: gym.Env | VectorEnv | str | None, episodes: int, env_args: Mapping[str, Any] | None
) -> AbstractContextManager[Any]:
    """Return a context with the environment for evaluations: the one that is given, or one made of its id.

    Of an id there are as many copies as an evaluation has episodes.
    """
    if not isinstance(eval_env, str):
        return nullcontext(eval_env)
    return open_env(eval_env, whole_number("eval_episodes", episodes, 1), env_args, argument="eval_env")


def make_evaluations(
    agent: Agent,
    env: gym.Env | VectorEnv,
    eval_env: gym.Env | VectorEnv | None,
    every: int | None,
    episodes: int,
    plan: Plan,
) -> Evaluations:
    """Return the evaluations of a run in `env`: 20 of them where `every` is None.

    Raises:
        ValueError: eval_env is the run's own environment, has other spaces, or is not there though `every` is given.
    """
    if eval_env is None:
        if every is not None:
            raise ValueError(f"eval_every={every!r} needs an environment to evaluate in: give eval_env=…")
    elif not isinstance(eval_env, gym.Env | VectorEnv):
        raise ValueError(f"eval_env must be an environment, or the id of one, got {eval_env!r}")
    elif eval_env.unwrapped is env.unwrapped:
        raise ValueError(
            "eval_env must be another environment than env, which evaluating would reset; make a second one"
        )
    else:
        check_spaces(agent.policy, agent.spaces, eval_env, name="eval_env")
    every = max(1, plan.total_steps // 20) if every is None else every
    return Evaluations(eval_env, every, episodes, spawn(plan.seed, Purpose.SELECTION))
