"""Evaluation: an agent's returns in episodes that it does not learn from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
from pg_agents.elsewhere import with_names_checked
from pg_agents.seeding import Purpose, seeds_of, spawn
from pg_agents.spaces.environments import NUM_ENVS, open_env
from pg_agents.spaces.wrappers import Wrapper


@dataclass(frozen=True)
class Evaluation:
    """Returns (undiscounted) and lengths of evaluation episodes.

    Attributes:
        mean_return: mean of the returns.
        std_return: standard deviation of the returns (dividing by n).
        episodes: number of episodes, n.
        returns: undiscounted return of each episode.
        lengths: length of each episode, in steps.
        learners: of several independent learners, the evaluation of each, in their order; [] of one.
    """

    mean_return: float
    std_return: float
    episodes: int
    returns: list[float]
    lengths: list[int]
    learners: list[Evaluation] = field(default_factory=list)


@with_names_checked
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
    seed: int | Sequence[int] = 0,
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
        seed: of the environment and of sampled actions; training with the same seed has other episodes. Several
            learners may be given one each: their first episodes are then those that they would play alone.
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
    episodes, learners = whole_number("episodes", episodes, 1), agent.policy.num_learners
    seeds = [whole_number("seed", one) for one in seeds_of(seed)]
    if len(seeds) not in (1, learners):
        raise ValueError(f"seed: {len(seeds)} are given for {learners} learners; give one, or one for each")
    if max_episode_steps is None:
        max_episode_steps = getattr(agent.cadence, "max_episode_steps", None)
    else:
        max_episode_steps = whole_number("max_episode_steps", max_episode_steps, 1)
    if isinstance(env, str) and num_envs is None:
        num_envs = min(-(-episodes // learners), NUM_ENVS)
    how: dict[str, Any] = {"wrappers": wrappers, "num_learners": learners, "step_timeout": step_timeout}
    with open_env(env, num_envs, env_args, **how) as opened:
        check_spaces(agent.policy, agent.spaces, opened)
        seeds = [spawn(one, Purpose.EVALUATION) for one in seeds]
        adapter = EnvAdapter(opened, seeds, step_timeout)
        actor = Actor(adapter, agent.policy, seeds, greedy=greedy)
        with adapter.limit:
            return _play(adapter, actor, episodes, max_episode_steps)


def _play(adapter: EnvAdapter, actor: Actor, episodes: int, max_episode_steps: int | None) -> Evaluation:
    returns: list[float] = []
    lengths: list[int] = []
    owners: list[int] = []  # the learner of each episode
    learners = actor.policy.num_learners
    each = adapter.num_envs // learners
    of_learner = np.arange(adapter.num_envs) % each  # the place of a row among its learner's
    while len(returns) < episodes:
        if not adapter.episode_starts.all():
            adapter.reset()
        active = of_learner < -(-(episodes - len(returns)) // learners)
        while active.any():
            step = adapter.step(actor.act()[0])
            ended = active & (step.done | is_over(step, max_episode_steps, adapter.name))
            returns += step.returns[ended].tolist()
            lengths += step.lengths[ended].tolist()
            owners += (np.flatnonzero(ended) // each).tolist()
            active = active & ~ended
    return evaluation_of(returns, lengths, _apart(returns, lengths, owners, learners))


def evaluation_of(returns: list[float], lengths: list[int], learners: Sequence[Evaluation] = ()) -> Evaluation:
    """Return the evaluation of episodes with these returns and lengths."""
    means = float(np.mean(returns)), float(np.std(returns))
    return Evaluation(*means, len(returns), returns, lengths, list(learners))


def _apart(returns: list[float], lengths: list[int], owners: list[int], learners: int) -> list[Evaluation]:
    """Return the evaluation of each of several learners."""
    if learners == 1:
        return []
    episodes: list[tuple[list[float], list[int]]] = [([], []) for _ in range(learners)]
    for owner, value, length in zip(owners, returns, lengths, strict=True):
        episodes[owner][0].append(value)
        episodes[owner][1].append(length)
    return [evaluation_of(*own) for own in episodes]
