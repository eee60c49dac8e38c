"""What B environments lived through in T steps; time, ends and mask are defined here, once.

Row t of environment b: in `observations[t, b]` the policy took `actions[t, b]` and got `rewards[t, b]`. Then

- `terminated[t, b]`: the episode ended there; what follows is worth 0.
- `truncated[t, b]`: the episode was cut there; what would have followed keeps its value, which is V of the final
  observation. Where both happen in one step, it terminated.
- `mask[t, b]`: False where no decision was taken (the ignored action after an episode's end, rows of finished or
  never started episodes). Such rows carry finite numbers and weigh nothing.
- `episode_starts[t, b]`: an episode begins at this row; memory is reset before it.
- `times[t, b]`: steps already taken in the episode, 0 at its start.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.tree import Tree, tree_map
from pg_agents.renamed import renamed


@dataclass(frozen=True)
class StepCadence:
    """A cadence: learn from every `num_steps` steps of each environment, wherever in their episodes they are."""

    num_steps: int


@dataclass(frozen=True)
class EpisodeCadence:
    """A cadence: learn from one whole episode of each environment.

    `max_episode_steps` cuts (truncates) episodes at that many steps, for environments without a time limit; the
    episodes of `group_size` environments in succession begin in the same state.
    """

    max_episode_steps: int | None = None
    group_size: int = 1


def steps_or_episodes(num_steps: int | None) -> StepCadence | EpisodeCadence:
    """Return the cadence of `num_steps` steps of each environment; None: of one whole episode of each."""
    return EpisodeCadence() if num_steps is None else StepCadence(num_steps)


@dataclass(frozen=True)
class TokenBlock:
    """The observations of append-only token episodes, stored once instead of T times.

    Observation t of row b is tokens[b, : prompt_lengths[b] + t] (for rows that have ended: their last observation).

    Attributes:
        tokens: every row's prompt, completion and padding, int64 [B, W].
        lengths: of what the policy saw at each step, int64 [T, B].
        mask: where a decision was taken, bool [T, B], so that nothing is computed elsewhere; None: everywhere.
    """

    tokens: Tensor
    lengths: Tensor
    mask: Tensor | None = None

    def windows(self) -> dict[str, Tensor]:
        """Return {"tokens": [T, B, W], "length": [T, B]}, the stacked observations; tokens past the length are 0."""
        position = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        visible = position < self.lengths[..., None]  # [T, B, W]
        return {"tokens": self.tokens * visible, "length": self.lengths}

    def to(self, device: torch.device | str) -> TokenBlock:
        """Return a copy on `device`."""
        mask = None if self.mask is None else self.mask.to(device)
        return TokenBlock(self.tokens.to(device), self.lengths.to(device), mask)


@dataclass(frozen=True)
class Rollout:
    """A record of T steps of B environments; every field is [T, B, …] unless it says otherwise.

    Attributes:
        observations: what the policy saw: a tensor, a dict of tensors, or a `TokenBlock`.
        actions: as the policy sampled them.
        log_probs: ln π(a|s) of the policy that acted.
        rewards: received after the action, float64 as the environment gives them.
        terminated: see the module's head, as for the next four.
        truncated: bool.
        mask: bool.
        episode_starts: bool.
        times: int64.
        final_observations: [K, …], what followed the rows `final_rows`, where an episode was truncated or the rollout
            stopped in the middle of one.
        final_rows: the rows (t, b) of `final_observations`, int64 [K, 2].
        episode_returns: undiscounted returns of the episodes that ended here, in the order in which they ended, float64
            [E]. Of whole episodes, which all begin together, the last of them are the longest: a part is no sample.
        episode_lengths: their lengths in steps, int64 [E].
        stop_reasons: why they ended, E texts, where the environment's info says so; else ().
        memory: the policy's memory before row 0 (None for policies without).
        group_ids: int64 [B], equal for environments that share their initial state; None where nothing is shared.
        reference_log_probs: ln π_ref(a|s) of a reference policy, where there is one (`agents.reference`).
    """

    observations: Tree
    actions: Tensor
    log_probs: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    mask: Tensor
    episode_starts: Tensor
    times: Tensor
    final_observations: Tree
    final_rows: Tensor
    episode_returns: Tensor
    episode_lengths: Tensor
    stop_reasons: Any = ()
    memory: Any = None
    group_ids: Tensor | None = None
    reference_log_probs: Tensor | None = None

    starts = renamed("starts", "episode_starts")

    @property
    def num_transitions(self) -> int:
        """The number of valid rows, Σ mask."""
        return int(self.mask.sum())

    def to(self, device: torch.device | str) -> Rollout:
        """Return a copy on `device` (the rollout itself where it is there already)."""
        if self.rewards.device == torch.device(device):
            return self
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Rollout(**{name: tree_map(lambda leaf: _move(leaf, device), value) for name, value in values.items()})


def _move(leaf: Any, device: torch.device | str) -> Any:  # noqa: ANN401
    return leaf.to(device) if isinstance(leaf, Tensor | TokenBlock) else leaf


@dataclass(frozen=True)
class Batch:
    """What an agent's loss is a function of, besides the parameters.

    The loss is a weighted sum, Σ weights · term, so that losses of parts of a batch add up to the loss of the whole.

    Attributes:
        observations: as in the rollout.
        actions: [T, B, …].
        weights: of each row in the loss, [T, B]; 0 where the mask is False.
        advantages: Ψ_t, what ∇ ln π(a_t|s_t) is multiplied by, [T, B].
        log_probs: of the policy that acted, [T, B].
        targets: what the critic is to predict, [T, B]; None without a critic.
        episode_starts: [T, B].
        memory: before row 0.
        reference_log_probs: of a reference policy, [T, B]; None without one.
    """

    observations: Tree
    actions: Tensor
    weights: Tensor
    advantages: Tensor
    log_probs: Tensor
    targets: Tensor | None = None
    episode_starts: Tensor | None = None
    memory: Any = None
    reference_log_probs: Tensor | None = None

    starts = renamed("starts", "episode_starts")

    @classmethod
    def of(cls, rollout: Rollout, *, advantages: Tensor, weights: Tensor, targets: Tensor | None = None) -> Batch:
        """Return the batch of a whole rollout: from here on numbers are as precise as the policy's, at least 32 bits.

        Until here they are in the rewards' precision: large ones are subtracted from each other before it.
        """
        dtype = torch.promote_types(rollout.log_probs.dtype, torch.float32)
        reference = rollout.reference_log_probs
        return cls(
            observations=rollout.observations,
            actions=rollout.actions,
            weights=weights.to(dtype),
            advantages=advantages.to(dtype),
            log_probs=rollout.log_probs,
            targets=None if targets is None else targets.to(dtype),
            episode_starts=rollout.episode_starts,
            memory=rollout.memory,
            reference_log_probs=None if reference is None else reference.to(dtype),
        )

    def sum(self, term: Tensor) -> Tensor:
        """Return Σ weights · term of a term [T, B]."""
        return torch.dot(self.weights.flatten().to(term.dtype), term.flatten())

    def means(self, **terms: Tensor) -> WeightedMetrics:
        """Return the weighted means of terms [T, B], by name: what is reported."""
        return WeightedMetrics(self.weights, terms)
