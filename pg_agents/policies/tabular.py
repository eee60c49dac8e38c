"""Tables with a parameter for every state and action: softmax policies and values for finite problems."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pg_agents.data.learners import of_columns
from pg_agents.data.rollout import Rollout
from pg_agents.data.tree import Tree
from pg_agents.distributions import Categorical
from pg_agents.policies.action_heads import allow
from pg_agents.policies.policy import ActionCritic, Critic, Memory, Policy
from pg_agents.spaces.action_masks import split_mask


class TabularPolicy(Policy):
    """π_θ(a|s) = exp(θ_{s,a}) / Σ_b exp(θ_{s,b}), θ_0 = 0.

    With `num_learners` = L > 1, each learner trains its own θ[i] in its own environments: L independent runs as one
    batch (see `pg_agents.data.learners`).

    Args:
        num_states: S; observations are integers start … start + S − 1.
        num_actions: A.
        num_learners: L.
        start: the smallest observation.
    """

    def __init__(self, num_states: int, num_actions: int, *, num_learners: int = 1, start: int = 0) -> None:
        super().__init__()
        self.num_learners = num_learners
        self.start = start
        self.logits = nn.Parameter(torch.zeros(num_learners, num_states, num_actions))

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Categorical:
        """Return the distributions for observations [..., B], with or without an action mask."""
        states, mask = split_mask(observations)
        return Categorical(allow(_look_up(self.logits, states, self.start), mask))

    @property
    def outputs(self) -> int:
        """A, the number of actions."""
        return self.logits.shape[-1]

    def probabilities(self) -> Tensor:
        """Return π(a|s) of all learners, [L, S, A]."""
        return self.logits.detach().softmax(-1)


class TabularCritic(Critic):
    """V_ψ(s) = ψ_s, initially 0; a row of values for each of `num_learners` learners.

    Args:
        num_states: S.
        num_learners: L.
        start: the smallest observation.
    """

    def __init__(self, num_states: int, *, num_learners: int = 1, start: int = 0) -> None:
        super().__init__()
        self.num_learners, self.start = num_learners, start
        self.values = nn.Parameter(torch.zeros(num_learners, num_states))

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values of observations [..., B]."""
        return _look_up(self.values, split_mask(observations)[0], self.start)

    def of_final_observations(self, rollout: Rollout) -> Tensor:
        """Return the values of a rollout's final observations, [K], of several learners."""
        learners = rollout.final_rows[:, 1] // (rollout.rewards.shape[1] // self.num_learners)
        return self.values[learners, _index(split_mask(rollout.final_observations)[0], self.start)]


class TabularActionCritic(ActionCritic):
    """Q_ψ(s,a) = ψ_{s,a}, initially 0; a table for each of `num_learners` learners.

    Args:
        num_states: S.
        num_actions: A.
        num_learners: L.
        start: the smallest observation.
    """

    def __init__(self, num_states: int, num_actions: int, *, num_learners: int = 1, start: int = 0) -> None:
        super().__init__()
        self.num_learners, self.start = num_learners, start
        self.values = nn.Parameter(torch.zeros(num_learners, num_states, num_actions))

    def forward(self, observations: Tree, memory: Memory = None, episode_starts: Tensor | None = None) -> Tensor:
        """Return the values of all actions, [..., B, A], for observations [..., B]."""
        return _look_up(self.values, split_mask(observations)[0], self.start)


def _index(states: Tensor, start: int) -> Tensor:
    """Return the row of a table for each state, int64: torch gives other integer dtypes another meaning."""
    return (states if states.dtype is torch.int64 else states.long()) - start


def _look_up(table: Tensor, states: Tensor, start: int) -> Tensor:
    """Return table[b, states[..., b] − start] for a table [B, S, …], or table[0, states − start] for one [1, S, …]."""
    states = _index(states, start)
    if table.shape[0] == 1:
        return nn.functional.embedding(states, table[0]) if table.ndim == 3 else table[0][states]
    if table.shape[1] == 1:  # a single state needs no indexing
        return of_columns(table[:, 0], states.shape[-1]).expand(*states.shape, *table.shape[2:])
    learners = of_columns(torch.arange(len(table), device=table.device), states.shape[-1])
    return table[learners, states]
