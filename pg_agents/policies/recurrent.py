"""Policies that remember: a gated recurrent unit, whose hidden state is their memory."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
import torch
from torch import Tensor

from pg_agents.checks import whole_number
from pg_agents.data.rollout import Rollout
from pg_agents.data.tree import Tree
from pg_agents.distributions import Distribution
from pg_agents.policies.action_heads import check_mask, make_head
from pg_agents.policies.encoder import Encoder
from pg_agents.policies.gru import GRU
from pg_agents.policies.mlp import MLP, Activation
from pg_agents.policies.normalization import ObservationScale
from pg_agents.policies.policy import Critic, Policy
from pg_agents.spaces.action_masks import split_mask


class GRUPolicy(Policy):
    """π_θ(·|h_t), h_t = GRU(s_t, h_{t−1}), for tasks whose observations do not show everything.

    The memory is h, float [B, H], or None at the start of all episodes. Learning goes through a rollout's rows one
    after the other, from the memory that the rollout began with; gradients end there and at the starts of episodes.

    Args:
        observation_space: of one environment.
        action_space: of one environment: Discrete, MultiDiscrete, MultiBinary or Box.
        size: H.
        hidden: sizes of layers between h and the outputs.
        activation: of those layers, "tanh" or "relu".
        squash: for a bounded Box: a Gaussian squashed into the bounds instead of one that is clipped.
        initial_log_std: ln σ at the start, for a Box.
        scale: standardises the observations; the same one as the critic's.

    Raises:
        UnsupportedSpaceError: for other spaces, and a mask in the observation that does not fit the actions.
        ValueError: for a size below 1, an unknown activation, and for options of a Box where there is none.
    """

    recurrent = True

    def __init__(
        self,
        observation_space: gym.Space,
        action_space: gym.Space,
        *,
        size: int = 64,
        hidden: Sequence[int] = (),
        activation: Activation = "tanh",
        squash: bool = False,
        initial_log_std: float = 0.0,
        scale: ObservationScale | None = None,
    ) -> None:
        super().__init__()
        self.head = make_head(action_space, squash=squash, initial_log_std=initial_log_std)
        check_mask(observation_space, action_space)
        self.encoder = Encoder(observation_space, scale)
        self.gru = GRU(self.encoder.size, whole_number("size", size, 1))
        self.network = MLP([size, *hidden, self.head.outputs], output_gain=0.01, activation=activation)

    def remember(
        self, observations: Tree, memory: Tensor | None = None, episode_starts: Tensor | None = None
    ) -> Tensor:
        """Return h after each observation, [T, B, H]; of observations [B, …] the memory after them, [B, H]."""
        features = self.encoder(observations)
        return self.gru(features, memory, episode_starts) if features.ndim > 2 else self.gru.step(features, memory)

    def forward(
        self, observations: Tree, memory: Tensor | None = None, episode_starts: Tensor | None = None
    ) -> Distribution:
        """Return the distributions for observations [T, B, …], or for the one row [B, …] after `memory`."""
        remembered = self.remember(observations, memory, episode_starts)
        return self.head(self.network(remembered), split_mask(observations)[1])

    def step(self, observation: Tree, memory: Tensor | None = None) -> tuple[Distribution, Tensor]:
        """Return the distribution for observations [B, …] and the memory after them, [B, H]."""
        memory = self.remember(observation, memory)
        return self.head(self.network(memory), split_mask(observation)[1]), memory

    def reset_memory(self, memory: Tensor | None, episode_starts: Tensor) -> Tensor | None:
        """Return the memory with zeros in the rows in which an episode starts, bool [B]."""
        return None if memory is None else torch.where(episode_starts[:, None], 0.0, memory)

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return actions as sampled, [B, …], in the units of the environment."""
        return self.head.unscale_action(actions)


class GRUCritic(Critic):
    """V_ψ(s_t, h_t) by an MLP that sees the observation and what a `GRUPolicy` remembers.

    All that the policy does follows from h, so no longer history has to be known to judge it. It reads h and does not
    shape it: no gradient of V flows into the policy's parameters, which are not among the critic's. (A recurrent layer
    that both trained did not learn where returns are large: errors of V drowned the policy's gradient in it.)

    Args:
        policy: whose memory is read; the one that the agent trains.
        observation_space: of one environment.
        hidden: sizes of the hidden layers.
        activation: of the hidden layers, "tanh" or "relu".
        scale: standardises the observations; the same one as the policy's.

    Raises:
        UnsupportedSpaceError: for a space without a fixed size.
        ValueError: for an unknown activation.
    """

    def __init__(
        self,
        policy: GRUPolicy,
        observation_space: gym.Space,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        scale: ObservationScale | None = None,
    ) -> None:
        super().__init__()
        self.read = (policy,)  # in a tuple: no part of this module, neither trained nor saved with it
        self.encoder = Encoder(observation_space, scale)
        self.network = MLP([self.encoder.size + policy.gru.size, *hidden, 1], output_gain=1.0, activation=activation)

    def forward(self, observations: Tree, memory: Tensor | None = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values of observations [T, B, …], or of the one row [B, …] after `memory`."""
        return self._values(observations, self._remember(observations, memory, episode_starts))

    def of_rollout(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """Return the values of a rollout's observations, [T, B], and those that final observations add, [K].

        A final observation is seen after the row that it followed: with the memory that this row left.
        """
        remembered = self._remember(rollout.observations, rollout.memory, rollout.episode_starts)
        after = self._remember(rollout.final_observations, remembered[tuple(rollout.final_rows.T)])
        return self._values(rollout.observations, remembered), self._values(rollout.final_observations, after)

    @torch.no_grad()
    def _remember(self, observations: Tree, memory: Tensor | None, episode_starts: Tensor | None = None) -> Tensor:
        return self.read[0].remember(observations, memory, episode_starts)

    def _values(self, observations: Tree, remembered: Tensor) -> Tensor:
        return self.network(torch.cat([self.encoder(observations), remembered], -1)).squeeze(-1)
