"""Recurrent policies, whose memory is the hidden state of a gated recurrent unit, and critics that read it."""

from __future__ import annotations

from collections.abc import Sequence

import gymnasium as gym
import torch
from torch import Tensor

from pg_agents.checks import whole_number
from pg_agents.data.learners import Columns
from pg_agents.data.rollout import Rollout
from pg_agents.data.tree import Tree
from pg_agents.distributions import Distribution
from pg_agents.policies.action_heads import check_mask, make_head
from pg_agents.policies.activations import Activation
from pg_agents.policies.encoder import Encoder, give_encoder
from pg_agents.policies.gru import GRU
from pg_agents.policies.layers import MLP
from pg_agents.policies.normalization import ObservationScale
from pg_agents.policies.policy import Critic, Policy
from pg_agents.spaces.action_masks import split_mask


class GRUPolicy(Policy):
    """π_θ(·|h_t), h_t = GRU(s_t, h_{t−1}), for tasks that are only partially observed.

    The memory is h, float [B, H], or None at the start of all episodes. Learning passes through a rollout's rows in
    order, from the memory at the rollout's start; gradients stop there and at the starts of episodes.

    Args:
        observation_space: of one environment.
        action_space: of one environment: Discrete, MultiDiscrete, MultiBinary or Box.
        size: H.
        hidden: sizes of the layers between h and the outputs.
        activation: of those layers, "tanh" or "relu".
        squash: for a bounded Box: a Gaussian squashed into the bounds instead of a clipped one.
        initial_log_std: ln σ before training, for a Box.
        scale: standardises the observations; shared with the critic.
        encoder: of the observations; None: one that suits their space.

    Raises:
        UnsupportedSpaceError: a space is not supported, or the mask in the observation does not fit the actions.
        ValueError: the size is below 1, the activation is unknown, or an option of a Box is given for another space.
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
        encoder: Encoder | None = None,
    ) -> None:
        super().__init__()
        self.head = make_head(action_space, squash=squash, initial_log_std=initial_log_std)
        check_mask(observation_space, action_space)
        self.encoder = Encoder(observation_space, scale) if encoder is None else encoder
        self.gru = GRU(self.encoder.size, whole_number("size", size, 1))
        self.network = MLP([size, *hidden, self.head.outputs], output_gain=0.01, activation=activation)

    def remember(
        self, observations: Tree, memory: Tensor | None = None, episode_starts: Tensor | None = None
    ) -> Tensor:
        """Return h after each observation: [T, B, H] for observations [T, B, …], [B, H] for [B, …]."""
        features = self.encoder(observations)
        return self.gru(features, memory, episode_starts) if features.ndim > 2 else self.gru.step(features, memory)

    def forward(
        self, observations: Tree, memory: Tensor | None = None, episode_starts: Tensor | None = None
    ) -> Distribution:
        """Return the distributions for observations [T, B, …], or for one row [B, …] after `memory`."""
        remembered = self.remember(observations, memory, episode_starts)
        return self.head(self.network(remembered), split_mask(observations)[1])

    def step(self, observation: Tree, memory: Tensor | None = None) -> tuple[Distribution, Tensor]:
        """Return the distribution for observations [B, …] and the memory after them, [B, H]."""
        memory = self.remember(observation, memory)
        return self.head(self.network(memory), split_mask(observation)[1]), memory

    def reset_memory(self, memory: Tensor | None, episode_starts: Tensor) -> Tensor | None:
        """Return the memory with zeros in the rows in which an episode starts, bool [B]."""
        return None if memory is None else torch.where(episode_starts[:, None], 0.0, memory)

    def encode(self, observations: Tree) -> Tree:
        """Return observations [B, …], encoded if a critic shares the encoder."""
        return self.encoder.encode(observations) if self.encoder.shared else observations

    def unscale_action(self, actions: Tensor) -> Tensor:
        """Return actions as sampled, [B, …], in the units of the environment."""
        return self.head.unscale_action(actions)


class GRUCritic(Critic):
    """V_ψ(s_t, h_t) by an MLP of the observation and the memory h of a `GRUPolicy`.

    The policy's actions depend on the past through h alone, so V needs no longer history. No gradient of V flows into
    h. (A recurrent layer trained by both did not learn where returns are large: the gradient of V's errors dominated
    the policy's.) The encoder below h may be shared.

    Args:
        policy: the policy that the agent trains, whose memory is read.
        observation_space: of one environment.
        hidden: sizes of the hidden layers.
        activation: of the hidden layers, "tanh" or "relu".
        scale: standardises the observations; shared with the policy.
        encoder: one of its own; None: one that suits the space.
        shared: the policy's encoder, to be shared, instead of `encoder`.

    Raises:
        UnsupportedSpaceError: the space has no fixed size.
        ValueError: the activation is unknown.
    """

    encoder: Encoder

    def __init__(
        self,
        policy: GRUPolicy,
        observation_space: gym.Space,
        *,
        hidden: Sequence[int] = (64, 64),
        activation: Activation = "tanh",
        scale: ObservationScale | None = None,
        encoder: Encoder | None = None,
        shared: Encoder | None = None,
    ) -> None:
        super().__init__()
        self.read = (policy,)  # in a tuple, so that it is not a submodule: neither trained nor saved with the critic
        give_encoder(self, encoder or shared or Encoder(observation_space, scale), shared=shared is not None)
        self.network = MLP([self.encoder.size + policy.gru.size, *hidden, 1], output_gain=1.0, activation=activation)

    def forward(self, observations: Tree, memory: Tensor | None = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values of observations [T, B, …], or of one row [B, …] after `memory`."""
        return self._values(observations, self._remember(observations, memory, episode_starts))

    def of_rollout(self, rollout: Rollout) -> tuple[Tensor, Tensor]:
        """Return the values of a rollout's observations, [T, B], and of its final observations, [K].

        The memory for a final observation is that after the row it follows.
        """
        seen = self.encoder.recalled(rollout)
        remembered = self._remember(seen, rollout.memory, rollout.episode_starts)
        values = self._values(seen, remembered)
        if not len(rollout.final_rows):
            return values, values.new_zeros(0)
        final, before = rollout.final_observations, remembered[tuple(rollout.final_rows.T)]
        if self.num_learners == 1:
            return values, self._values(final, self._remember(final, before))
        columns = Columns.for_final_rows(rollout.final_rows, rollout.rewards.shape, self.num_learners)
        final, before = columns.of((final, before))
        return values, self._values(final, self._remember(final, before))[columns.places]

    @torch.no_grad()
    def _remember(self, observations: Tree, memory: Tensor | None, episode_starts: Tensor | None = None) -> Tensor:
        return self.read[0].remember(observations, memory, episode_starts)

    def _values(self, observations: Tree, remembered: Tensor) -> Tensor:
        return self.network(torch.cat([self.encoder(observations), remembered], -1)).squeeze(-1)
