"""Collectors: endless iterators over rollouts of a policy in any Gymnasium environment."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

from pg_agents._fast.arrays import any_true
from pg_agents.checks import whole_number
from pg_agents.collection.collector import Collector
from pg_agents.collection.env_adapter import Transition
from pg_agents.collection.episode_groups import make_groups
from pg_agents.collection.rollout_builder import RolloutBuilder
from pg_agents.collection.rows_in_place import RowsInPlace, are_large
from pg_agents.collection.waiting import Waiting
from pg_agents.data.rollout import Rollout
from pg_agents.data.tree import tree_leaves
from pg_agents.generators import Generators
from pg_agents.policies import is_token_window
from pg_agents.policies.memory_limit import gib, memory
from pg_agents.policies.policy import Policy
from pg_agents.spaces.environments import open_env
from pg_agents.spaces.wrappers import Wrapper

AnyCollector = TypeVar("AnyCollector", bound="Collector")
EPISODE_LIMIT = 100_000  # steps after which an episode without a time limit is assumed never to end


def is_over(step: Transition, max_episode_steps: int | None, name: str) -> NDArray[np.bool_]:
    """Return which running episodes have reached `max_episode_steps`, bool [B].

    Raises:
        ValueError: there is no such limit, and an episode has taken 100,000 steps.
    """
    over = step.valid & ~step.done & (step.lengths >= (max_episode_steps or EPISODE_LIMIT))
    if max_episode_steps is None and over.any():
        raise ValueError(
            f"max_episode_steps: an episode of {name} has not ended after {EPISODE_LIMIT} steps; "
            "give a number of steps at which to cut its episodes, or wrap it in gymnasium.wrappers.TimeLimit"
        )
    return over


class StepCollector(Collector):
    """Rollouts of `num_steps` steps of every environment; episodes go on from one rollout to the next."""

    def __init__(self, env: gym.Env | VectorEnv, policy: Policy, num_steps: int, **how: Any) -> None:  # noqa: ANN401
        num_steps = whole_number("num_steps", num_steps, 1)
        super().__init__(env, policy, **how)
        self.num_steps = num_steps
        self.in_place = are_large(self.adapter.observation)
        copies, while_stacked = (1, "") if self.in_place else (2, " while they are stacked")
        held = copies * num_steps * sum(leaf.nbytes for leaf in tree_leaves(self.adapter.observation))
        if held > memory():
            raise ValueError(
                f"num_steps: the observations of {num_steps:,} steps of {self.adapter.num_envs} environments take "
                f"{gib(held)}{while_stacked}, and this machine has {gib(memory())}; reduce num_steps, the "
                "number of environments or the size of observations"
            )

    @torch.no_grad()
    def _collect(self) -> Rollout:
        """Return the next `num_steps` steps."""
        rows = RowsInPlace(self.adapter.observation, self.num_steps) if self.in_place else None
        copied = None if rows is None else rows.copied
        builder = RolloutBuilder(self.adapter, self.actor, rows=rows)
        for _ in range(self.num_steps):
            episode_starts, times = self.adapter.episode_starts, self.adapter.times
            actions, decision = self.actor.act(copied=copied)
            step = self.adapter.step(actions)
            builder.add(decision, step, step.valid, step.terminated, step.truncated, episode_starts, times)
        builder.finish(step.valid & ~step.done)
        return builder.rollout()


class EpisodeCollector(Collector):
    """Rollouts of one whole episode of every environment: a column is an episode, padded to the longest.

    Environments whose episode has ended wait for the others. (Taking the first n episodes to end instead would
    overrepresent short ones.) What belongs to one of several learners is as if it had not waited (see `Waiting`).

    Args:
        env: as in `Collector`.
        policy: as in `Collector`.
        max_episode_steps: truncates episodes after that many steps; None: only the environment ends them, and an
            episode of more than 100,000 steps is an error.
        group_size: the number of consecutive environments that begin their episodes in the same state (see `Groups`).
        seed: as in `Collector`.
        step_timeout: as in `Collector`.
    """

    def __init__(
        self,
        env: gym.Env | VectorEnv,
        policy: Policy,
        *,
        max_episode_steps: int | None = None,
        group_size: int = 1,
        seed: int | Sequence[int] = 0,
        step_timeout: float | None = None,
    ) -> None:
        if max_episode_steps is not None:
            max_episode_steps = whole_number("max_episode_steps", max_episode_steps, 1)
        super().__init__(env, policy, seed=seed, step_timeout=step_timeout)
        self.max_episode_steps = max_episode_steps
        self.groups = make_groups(self.adapter, group_size, seed, policy.num_learners)
        several = isinstance(self.actor.generator, Generators)
        self.waiting = Waiting(self.adapter, policy.num_learners) if several else None
        inner = self.adapter.env.single_observation_space, self.adapter.env.single_action_space
        self.append_only = bool(self.adapter.env.metadata.get("append_only", False)) and is_token_window(*inner)
        if self.append_only and (self.adapter.masks.beside or self.adapter.masks.inside):
            raise ValueError(f"env: {self.adapter.name} has action masks; set its metadata['append_only'] to False")

    @property
    def coupling(self) -> str | None:
        """What keeps learners from being equal to their single runs; rows seeded for each rollout need not wait."""
        waits = self.waiting is None or self.waiting.holds or self.groups is not None
        return super().coupling or (None if waits else "cannot hold rows that wait for others")

    @torch.no_grad()
    def _collect(self) -> Rollout:
        """Return the next episode of every environment."""
        self._begin()
        if self.waiting is None:
            return self._play()
        assert isinstance(self.actor.generator, Generators)
        with self.waiting.rollout(self.actor.generator):
            return self._play()

    def _begin(self) -> None:
        """Begin the next episodes; those that begin already go on."""
        if self.groups is not None:
            self.adapter.reset(self.groups.seeds())
        elif not self.adapter.episode_starts.all():
            (self.adapter if self.waiting is None else self.waiting).reset()

    def _play(self) -> Rollout:
        group_ids = None if self.groups is None else self.groups.ids
        builder = RolloutBuilder(self.adapter, self.actor, append_only=self.append_only, group_ids=group_ids)
        active = np.ones(self.adapter.num_envs, bool)
        while active.any():
            episode_starts, times = self.adapter.episode_starts & active, self.adapter.times
            actions, decision = self.actor.act(append_only=self.append_only, waiting=~active)
            step = self.adapter.step(actions)
            truncated = active & (step.truncated | is_over(step, self.max_episode_steps, self.adapter.name))
            terminated = active & step.terminated
            builder.add(decision, step, step.valid & active, terminated, truncated, episode_starts, times)
            ended = terminated | truncated
            active = active & ~ended
            if self.waiting is not None and any_true(ended):
                self.waiting.see(active)
        return builder.rollout()


def collect_steps(
    env: gym.Env | VectorEnv | str,
    policy: Policy,
    num_steps: int,
    *,
    num_envs: int | None = None,
    env_args: Mapping[str, Any] | None = None,
    wrappers: Iterable[str | Wrapper] | None = None,
    seed: int = 0,
    step_timeout: float | None = None,
) -> StepCollector:
    """Return an endless iterator over rollouts of `num_steps` steps of every environment; see `Collector`.

    `env` may also be the id of an environment, of which `num_envs` (8 unless given) are made with the constructor
    arguments `env_args` and `wrappers` (as in `train`); they are closed when the collector is deleted.
    """
    with ExitStack() as opened:
        how: dict[str, Any] = {"num_learners": policy.num_learners, "step_timeout": step_timeout}
        made = opened.enter_context(open_env(env, num_envs, env_args, wrappers=wrappers, **how))
        collector = StepCollector(made, policy, num_steps, seed=seed, step_timeout=step_timeout)
        return _closing_with(collector, opened.pop_all())


def collect_episodes(
    env: gym.Env | VectorEnv | str,
    policy: Policy,
    *,
    num_envs: int | None = None,
    env_args: Mapping[str, Any] | None = None,
    wrappers: Iterable[str | Wrapper] | None = None,
    max_episode_steps: int | None = None,
    group_size: int = 1,
    seed: int = 0,
    step_timeout: float | None = None,
) -> EpisodeCollector:
    """Return an endless iterator over rollouts of one whole episode of every environment; see `EpisodeCollector`.

    `env` may also be the id of an environment, of which `num_envs` (8 unless given) are made with the constructor
    arguments `env_args` and `wrappers` (as in `train`); they are closed when the collector is deleted.
    """
    with ExitStack() as opened:
        groups: dict[str, Any] = {"a_seed_each": group_size != 1, "step_timeout": step_timeout}
        groups["num_learners"] = policy.num_learners
        made = opened.enter_context(open_env(env, num_envs, env_args, wrappers=wrappers, **groups))
        how: dict[str, Any] = {"max_episode_steps": max_episode_steps, "group_size": group_size}
        collector = EpisodeCollector(made, policy, **how, seed=seed, step_timeout=step_timeout)
        return _closing_with(collector, opened.pop_all())


def _closing_with(collector: AnyCollector, opened: ExitStack) -> AnyCollector:
    """Return the collector; `opened` is closed when nothing refers to it any more."""
    weakref.finalize(collector, opened.close)
    return collector
