"""Any Gymnasium environment and a policy → an endless stream of rollouts: the data loader of reinforcement learning."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.actor import Acted, Actor
from pg_agents.numbers import whole_number
from pg_agents.policies.policy import Policy
from pg_agents.rollout import Rollout, TokenBlock
from pg_agents.stream import Stream, Transition
from pg_agents.tree import Tree, tree_map

EPISODE_LIMIT = 100_000  # steps after which an episode without any limit is taken for one that never ends


class Collector(ABC):
    """Runs a policy in an environment; each `next` returns the next rollout.

    The policy is used as it is at the time: update it in place and the next rollout is of the new policy.

    Args:
        env: any Gymnasium environment, single or vector.
        policy: whose actions are taken, sampled.
        seed: of the environment and of the actions.

    Raises:
        FaultyEnvironmentError: when the environment returns something that is not finite or wrongly shaped.
    """

    def __init__(self, env: gym.Env | VectorEnv, policy: Policy, *, seed: int = 0) -> None:
        self.policy = policy
        self.stream = Stream(env, seed)
        self.actor = Actor(self.stream, policy, seed)
        self.device, self.dtype = self.actor.device, next(policy.parameters()).dtype

    def __iter__(self) -> Collector:
        return self

    @abstractmethod
    def __next__(self) -> Rollout:
        """Return the next rollout."""


def is_over(step: Transition, max_episode_steps: int | None, name: str) -> NDArray[np.bool_]:
    """Return which running episodes have reached `max_episode_steps`, bool [B].

    Raises:
        ValueError: there is no such limit, and an episode has gone on for so long that it may never end.
    """
    over = step.live & ~step.done & (step.lengths >= (max_episode_steps or EPISODE_LIMIT))
    if max_episode_steps is None and over.any():
        raise ValueError(
            f"max_episode_steps: an episode of {name} has not ended after {EPISODE_LIMIT} steps; "
            "give a number of steps at which to cut its episodes"
        )
    return over


class StepCollector(Collector):
    """Rollouts of `num_steps` steps of every environment; episodes go on from one rollout to the next."""

    def __init__(self, env: gym.Env | VectorEnv, policy: Policy, num_steps: int, *, seed: int = 0) -> None:
        num_steps = whole_number("num_steps", num_steps, 1)
        super().__init__(env, policy, seed=seed)
        self.num_steps = num_steps

    @torch.no_grad()
    def __next__(self) -> Rollout:
        """Return the next `num_steps` steps."""
        record = _Record(self, memory=self.actor.memory if self.policy.recurrent else None)
        for _ in range(self.num_steps):
            starts, times = self.stream.starts, self.stream.times
            actions, acted = self.actor.act()
            transition = self.stream.step(actions)
            record.add(acted, transition, transition.live, transition.truncated, starts, times)
        record.finish(transition.live & ~transition.done)
        return record.rollout()


class EpisodeCollector(Collector):
    """Rollouts of one whole episode of every environment: a column is an episode, padded to the longest.

    Environments whose episode has ended wait for the others. (One episode each, rather than the first n to end, because
    short episodes would be overrepresented among those.)

    Args:
        env: as in `Collector`.
        policy: as in `Collector`.
        max_episode_steps: episodes are cut (truncated) at that many steps; None: only by the environment, and one that
            has not ended after 100,000 steps is an error.
        seed: as in `Collector`.
    """

    def __init__(
        self, env: gym.Env | VectorEnv, policy: Policy, *, max_episode_steps: int | None = None, seed: int = 0
    ) -> None:
        if max_episode_steps is not None:
            max_episode_steps = whole_number("max_episode_steps", max_episode_steps, 1)
        super().__init__(env, policy, seed=seed)
        self.max_episode_steps = max_episode_steps
        self.append_only = bool(self.stream.env.metadata.get("append_only", False))

    @torch.no_grad()
    def __next__(self) -> Rollout:
        """Return the next episode of every environment."""
        if not self.stream.starts.all():
            self.stream.reset()
        record = _Record(self, append_only=self.append_only)
        active = np.ones(self.stream.num_envs, bool)
        while active.any():
            starts, times = self.stream.starts & active, self.stream.times
            actions, acted = self.actor.act()
            step = self.stream.step(actions)
            truncated = active & (step.truncated | is_over(step, self.max_episode_steps, self.stream.name))
            record.add(acted, step, step.live & active, truncated, starts, times)
            active = active & ~(step.terminated | truncated)
        return record.rollout()


class _Record:
    """The rows of a rollout in the making."""

    def __init__(self, collector: Collector, *, memory: Any = None, append_only: bool = False) -> None:  # noqa: ANN401
        self.collector = collector
        self.append_only = append_only
        self.memory = memory
        groups = collector.stream.infos.get("group_id")
        self.group_ids = None if groups is None else torch.as_tensor(np.array(groups))
        self.acted: list[Acted] = []
        self.arrays: list[tuple[NDArray[Any], ...]] = []
        self.finals: list[tuple[int, NDArray[np.int64], Tree]] = []
        self.ended: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
        self.tokens: NDArray[np.int64] | None = None  # of append-only episodes, each row's last window, [B, W]

    def add(
        self,
        acted: Acted,
        transition: Transition,
        mask: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        starts: NDArray[np.bool_],
        times: NDArray[np.int64],
    ) -> None:
        """Append one row; `mask` says which environments' transition belongs to the rollout."""
        terminated = transition.terminated & mask
        self.acted.append(acted)
        self.arrays.append((transition.rewards * mask, terminated, truncated, mask, starts, times))
        done = terminated | truncated
        if done.any():
            self.ended.append((transition.returns[done], transition.lengths[done]))
            if self.append_only:
                self._keep_tokens(transition.final["tokens"], done)
            if truncated.any():
                self._keep_final(transition.final, np.flatnonzero(truncated))
        self.following = transition.final

    def finish(self, running: NDArray[np.bool_]) -> None:
        """Keep what follows the last row in the environments whose episode goes on."""
        if running.any():
            self._keep_final(self.following, np.flatnonzero(running))

    def _keep_final(self, final: Tree, rows: NDArray[np.int64]) -> None:
        self.finals.append((len(self.acted) - 1, rows, tree_map(lambda leaf: leaf[rows], final)))

    def _keep_tokens(self, tokens: NDArray[np.int64], done: NDArray[np.bool_]) -> None:
        self.tokens = np.array(tokens) if self.tokens is None else self.tokens
        self.tokens[done] = tokens[done]

    def rollout(self) -> Rollout:
        """Stack the rows."""
        collector, device = self.collector, self.collector.device
        observations, actions, log_probs = zip(*self.acted, strict=True)
        rewards, *flags = (torch.from_numpy(np.stack(column)).to(device) for column in zip(*self.arrays, strict=True))
        terminated, truncated, mask, starts, times = flags
        final_observations, final_rows = self._final(observations[0])
        returns, lengths = zip(*self.ended, strict=True) if self.ended else ((), ())
        return Rollout(
            observations=self._block(observations) if self.append_only else _stack(observations),
            actions=torch.stack(actions),
            log_probs=torch.stack(log_probs),
            rewards=rewards.to(collector.dtype),
            terminated=terminated,
            truncated=truncated,
            mask=mask,
            starts=starts,
            times=times,
            final_observations=final_observations,
            final_rows=final_rows,
            episode_returns=torch.from_numpy(np.concatenate(returns or [np.zeros(0)])),
            episode_lengths=torch.from_numpy(np.concatenate(lengths or [np.zeros(0, np.int64)])),
            memory=self.memory,
            group_ids=self.group_ids,
        )

    def _final(self, example: Tree) -> tuple[Tree, Tensor]:
        """Return the final observations [K, …] and their rows [K, 2]."""
        device = self.collector.device
        if not self.finals:
            return tree_map(lambda leaf: leaf[:0], example), torch.zeros(0, 2, dtype=torch.int64, device=device)
        index = np.concatenate([np.stack([np.full(len(rows), t), rows], 1) for t, rows, _ in self.finals])
        kept = _concatenate([final for _, _, final in self.finals])
        return tree_map(lambda leaf: torch.from_numpy(leaf).to(device), kept), torch.from_numpy(index).to(device)

    def _block(self, observations: tuple[Tree, ...]) -> TokenBlock:
        """Return the windows of append-only episodes as one block: the last window contains all the earlier ones."""
        lengths = torch.stack([observation["length"] for observation in observations])  # [T, B]
        tokens = torch.from_numpy(self.tokens).to(lengths.device)
        width = int(lengths.max())
        return TokenBlock(tokens[:, :width], lengths)


def _stack(trees: tuple[Tree, ...]) -> Tree:
    return tree_map(lambda *leaves: torch.stack(leaves), trees[0], *trees[1:])


def _concatenate(trees: list[Tree]) -> Tree:
    return tree_map(lambda *leaves: np.concatenate(leaves), trees[0], *trees[1:])


def collect_steps(env: gym.Env | VectorEnv, policy: Policy, num_steps: int, *, seed: int = 0) -> StepCollector:
    """Return an endless stream of rollouts of `num_steps` steps of every environment."""
    return StepCollector(env, policy, num_steps, seed=seed)


def collect_episodes(
    env: gym.Env | VectorEnv, policy: Policy, *, max_episode_steps: int | None = None, seed: int = 0
) -> EpisodeCollector:
    """Return an endless stream of rollouts of one whole episode of every environment."""
    return EpisodeCollector(env, policy, max_episode_steps=max_episode_steps, seed=seed)
