"""What all collectors are: endless iterators over rollouts, whose state can be taken and set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import gymnasium as gym
from gymnasium.vector import VectorEnv

from pg_agents.collection.actor import Actor
from pg_agents.collection.adapter_state import adapter_state, set_adapter_state
from pg_agents.collection.env_adapter import EnvAdapter
from pg_agents.collection.episode_groups import Groups
from pg_agents.data.rollout import Rollout
from pg_agents.data.state import State
from pg_agents.policies.policy import Policy
from pg_agents.seeding import Purpose, seeds_of, spawn


class Collector(ABC):
    """Runs a policy in an environment; each `next` returns the next rollout.

    After an update of the policy in place, the next rollout is sampled from the updated policy.

    Args:
        env: any Gymnasium environment, single or vector.
        policy: chooses the actions, by sampling.
        seed: the seed of the environment and of the actions; of several learners one each.
        step_timeout: seconds that one call of the environment may take (see `time_limit`).

    Raises:
        FloatingPointError: the policy's distribution is not finite.
        FaultyEnvironmentError: the environment fails, or returns values that are not finite, have a wrong shape or are
            outside their space.
    """

    def __init__(
        self,
        env: gym.Env | VectorEnv,
        policy: Policy,
        *,
        seed: int | Sequence[int] = 0,
        step_timeout: float | None = None,
    ) -> None:
        self.policy, self.seed = policy, seed
        self.adapter = EnvAdapter(env, seed, step_timeout)
        self.actor = self._act(seeds_of(seed))
        self.device = self.actor.device
        self.groups: Groups | None = None

    def get_state(self) -> State | None:
        """Return what `set_state` needs to go on, also in the middle of episodes; None if the environment has no state.

        Raises:
            FaultyEnvironmentError: the environment's `get_state` fails.
        """
        with self.adapter.limit:
            adapter = adapter_state(self.adapter)
        if adapter is None:
            return None
        groups = None if self.groups is None else self.groups.get_state()
        return {"adapter": adapter, "actor": self.actor.get_state(), "groups": groups}

    def set_state(self, state: State) -> None:
        """Go on from a state of `get_state`: the next rollout has the bits that it would have had there.

        The collector was made in the same way, and its policy has the parameters that it had there.

        Raises:
            ValueError: the state is that of another environment.
            FaultyEnvironmentError: the environment's `set_state` fails.
        """
        with self.adapter.limit:
            set_adapter_state(self.adapter, state["adapter"])
        self.actor.set_state(state["actor"])
        if self.groups is not None:
            self.groups.set_state(state["groups"])

    def restart(self, seed: int | Sequence[int]) -> None:
        """Give up the running episodes, and begin new ones with new random numbers, all derived from `seed`."""
        seeds = [spawn(one, Purpose.RESTART) for one in seeds_of(seed)]
        with self.adapter.limit:
            self.adapter.begin(seeds)
        self.actor = self._act(seeds)
        self.groups = None if self.groups is None else self.groups.seeded(seeds)

    def _act(self, seeds: Sequence[int]) -> Actor:
        """Return the actor; where all rows have the environment's one generator, so have all actions."""
        return Actor(self.adapter, self.policy, seeds if self.adapter.takes_seeds else seeds[:1])

    def __iter__(self) -> Collector:
        return self

    @property
    def coupling(self) -> str | None:
        """What of the environment keeps learners from being equal to their single runs; None: they are equal."""
        return None if self.adapter.takes_seeds else "has one seed for all rows"

    @property
    def where(self) -> str:
        """The environment, its step and the seed, for a message: "CartPole-v1 up to step 512, with seed 0"."""
        return f"{self.adapter.name} up to step {self.adapter.steps}, with seed {self.seed}"

    def __next__(self) -> Rollout:
        """Return the next rollout."""
        with self.adapter.limit:
            return self._collect()

    @abstractmethod
    def _collect(self) -> Rollout:
        """Return the next rollout."""
