"""A policy that acts in environments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.data.devices import on_device
from pg_agents.data.encoded import Encoded
from pg_agents.data.state import State
from pg_agents.data.tree import Tree, tree_map
from pg_agents.distributions import Distribution, draw
from pg_agents.generators import make_generators
from pg_agents.policies.own_networks import check_decision, without_noise
from pg_agents.policies.policy import Policy, check_learners
from pg_agents.seeding import Purpose, seeds_of, spawn
from pg_agents.spaces.conversion import to_env_action


class PolicyStep(NamedTuple):
    """A policy's observations, distribution and actions in one step of B environments.

    Attributes:
        observation: arrays [B, …], copied from the environment; for append-only tokens only their lengths.
        distribution: the policy's distribution over actions.
        actions: the sampled actions, [B, …].
        features: of the observations, [B, size], if a critic shares the policy's encoder; else None.
    """

    observation: Tree
    distribution: Distribution
    actions: Tensor
    features: Tensor | None


class Actor:
    """A policy with its memory and a generator, acting in the environments of an adapter.

    Args:
        adapter: the environments.
        policy: chooses the actions.
        seed: the seed of the sampled actions; of several learners one each, or one for all.
        greedy: take the mode of the policy's distribution instead of sampling.

    Raises:
        ValueError: the environments cannot be shared out among the policy's independent learners.
    """

    def __init__(self, adapter: EnvAdapter, policy: Policy, seed: int | Sequence[int], *, greedy: bool = False) -> None:
        check_learners(policy, adapter.num_envs)
        without_noise(policy)
        self.adapter, self.policy, self.greedy = adapter, policy, greedy
        self.device = next(policy.parameters()).device
        self.on_cpu = self.device.type == "cpu"
        self.generator = make_generators([spawn(one, Purpose.ACTIONS) for one in seeds_of(seed)], self.device)
        self.to_env_action = to_env_action(adapter.env.single_action_space)
        self.memory: Any = None
        self.shown = np.zeros(adapter.num_envs, np.int64)
        self.checked = False  # the first decision's shapes

    def act(
        self,
        *,
        append_only: bool = False,
        waiting: NDArray[np.bool_] | None = None,
        copied: Callable[[Tree], Tree] | None = None,
    ) -> tuple[NDArray[Any], PolicyStep]:
        """Return the actions for the environments, [B, …], and the policy's step from which they come.

        Args:
            append_only: observations {"tokens", "length"} only grow; of the policy's step the lengths are kept alone.
            waiting: rows whose action is ignored, bool [B]; with append-only tokens the policy gets their previous
                observation again, so that a cache has nothing to compute.
            copied: returns a copy of an observation; None: a new one is made.

        Raises:
            FloatingPointError: the policy's distribution is not finite.
        """
        own = self.adapter.observation  # is copied: environments may reuse their arrays
        seen = tree_map(np.array, own) if copied is None else copied(own)
        shown = tree_map(self._tensor, seen)
        if append_only:
            self.shown = seen["length"] if waiting is None else np.where(waiting, self.shown, seen["length"])
            shown["length"], seen = self._tensor(self.shown), {"length": seen["length"]}
        if self.policy.recurrent and self.adapter.episode_starts.any():
            self.memory = self.policy.reset_memory(self.memory, self._tensor(self.adapter.episode_starts))
        shown = self.policy.encode(shown)
        distribution, self.memory = self.policy.step(shown, self.memory)
        actions = self._draw(distribution)
        features = shown.features if isinstance(shown, Encoded) else None
        return self.to_env_action(self.policy.unscale_action(actions)), PolicyStep(
            seen, distribution, actions, features
        )

    def _draw(self, distribution: Any) -> Tensor:  # noqa: ANN401
        """Return actions; the first time, a distribution of the user's is checked."""
        unknown = not (self.checked or type(distribution).__module__.startswith("pg_agents."))
        space, count = self.adapter.env.single_action_space, self.adapter.num_envs
        if unknown:
            check_decision(self.policy, distribution, None, space, count)
        actions = draw(distribution, self._where, greedy=self.greedy, generator=self.generator)
        if unknown:
            check_decision(self.policy, distribution, actions, space, count)
            self.checked = True
        return actions

    def get_state(self) -> State:
        """Return the generator's state, the memory if it carries information, and which observations were shown."""
        memory = self.memory if self.policy.recurrent else None
        return {
            "generator": self.generator.get_state().numpy(),
            "memory": None if memory is None else tree_map(lambda leaf: leaf.cpu().numpy().copy(), memory),
            "shown": self.shown.copy(),
        }

    def set_state(self, state: State) -> None:
        """Go on from a state of `get_state`; a cache of keys and values is computed anew."""
        memory = state["memory"]
        self.generator.set_state(torch.from_numpy(state["generator"].copy()))
        self.memory = None if memory is None else tree_map(lambda leaf: self._tensor(leaf.copy()), memory)
        self.shown = state["shown"].copy()

    def _where(self, row: int | None) -> str:
        return f"in {self.adapter.name} {self.adapter.where(row)}"

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array) if self.on_cpu else on_device(array, self.device)
