"""Rollouts: T steps of B environments. Time, the ends of episodes and the mask are defined here, once.

Row t of environment b: after `observations[t, b]` the policy took `actions[t, b]` and received `rewards[t, b]`.

- `terminated[t, b]`: the episode ended with this step; the value of the next state is 0.
- `truncated[t, b]`: the episode was cut after this step; the value of the next state is V(final observation). A step
  that terminates and truncates counts as terminated.
- `mask[t, b]`: False where no decision was taken (the ignored action after an episode's end, rows of finished or
  never started episodes). Such rows hold finite numbers and have weight 0.
- `episode_starts[t, b]`: an episode begins at this row; memory is reset before it.
- `times[t, b]`: the number of steps taken in the episode before this row, 0 at its start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Annotated, Any, TypeVar, get_type_hints

import torch
from torch import Tensor

from pg_agents.data.devices import on_device
from pg_agents.data.metrics import WeightedMetrics
from pg_agents.data.shares import Share, own
from pg_agents.data.token_block import TokenBlock
from pg_agents.data.tree import Tree, tree_map
from pg_agents.renamed import renamed


@dataclass(frozen=True)
class StepCadence:
    """A cadence: a rollout is `num_steps` steps of each environment, and may begin and end within episodes.

    Its last `overlap` steps are learned from again, in front of the next rollout.
    """

    num_steps: int
    overlap: int = 0


@dataclass(frozen=True)
class EpisodeCadence:
    """A cadence: a rollout is one whole episode of each environment.

    `max_episode_steps` truncates episodes after that many steps, for environments without a time limit. The episodes
    of each `group_size` consecutive environments begin in the same state.
    """

    max_episode_steps: int | None = None
    group_size: int = 1


PerStep = Annotated[Tensor, "per step"]  # a value for each step of each environment, [T, B, …]


@cache
def step_fields(cls: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return the names of the fields of `Rollout` or `Batch` with a value for each step, `observations` first."""
    return tuple(name for name, hint in get_type_hints(cls, include_extras=True).items() if "per step" in str(hint))


@dataclass(frozen=True)
class Rollout:
    """T steps of B environments; fields have the shape [T, B, …] unless stated otherwise.

    Attributes:
        observations: what the policy saw: a tensor, a dict or tuple of tensors, or a `TokenBlock`.
        actions: the actions as the policy sampled them.
        log_probs: ln π(a|s) under the policy that sampled the actions.
        rewards: the reward after each action, float64, in the environment's units.
        terminated: bool; this field and the next four are defined at the top of this module.
        truncated: bool.
        mask: bool.
        episode_starts: bool.
        times: int64.
        final_observations: the observations after the rows `final_rows`, [K, …]: where an episode was truncated, or the
            rollout stopped within an episode.
        final_rows: the rows (t, b) of `final_observations`, int64 [K, 2].
        episode_returns: undiscounted returns of the E episodes that ended in this rollout, in order of their ends,
            float64 [E]. Whole episodes begin together, so the last ones are the longest: a slice is a biased sample.
        episode_lengths: the lengths of these episodes in steps, int64 [E].
        stop_reasons: why these episodes ended, E strings, if the environment's info has them; else ().
        memory: the policy's memory before row 0; None for a policy without memory.
        group_ids: int64 [B], equal for environments that share their initial state; None without groups.
        reference_log_probs: ln π_ref(a|s) under a reference policy; None without one.
        features: what the policy's encoder made of the observations when acting, if a critic shares it, [T, B, size].
        encoder_version: of the encoder that made them; see `Encoder.version`.
        num_learners: the number of independent learners to whom the columns belong (see `data.learners`).
        share: None, or of the whole of several processes: which columns are one's own (see `data.shares`). B is then
            that of the whole; observations, actions, memory, features and final rows are of one's own columns.
    """

    observations: Annotated[Tree, "per step"]
    actions: PerStep
    log_probs: PerStep
    rewards: PerStep
    terminated: PerStep
    truncated: PerStep
    mask: PerStep
    episode_starts: PerStep
    times: PerStep
    final_observations: Tree
    final_rows: Tensor
    episode_returns: Tensor
    episode_lengths: Tensor
    stop_reasons: Any = ()
    memory: Any = None
    group_ids: Tensor | None = None
    reference_log_probs: PerStep | None = None
    features: PerStep | None = None
    encoder_version: Any = None
    num_learners: int = 1
    share: Share | None = None

    starts = renamed("starts", "episode_starts")

    @property
    def num_transitions(self) -> int:
        """The number of valid steps, Σ mask."""
        return int(self.mask.sum())

    @property
    def mine(self) -> Rollout:
        """The columns that this process has collected; the rollout itself where there are no others."""
        return own(self)

    def whole(self, values: Tensor) -> Tensor:
        """Return values that were computed from `mine`, [T, b, …], beside those of other processes, [T, B, …]."""
        return values if self.share is None else self.share.whole(values)

    def to(self, device: torch.device | str) -> Rollout:
        """Return a copy on `device`; the rollout itself if it is there already."""
        if self.rewards.device == torch.device(device):
            return self
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return Rollout(**{name: tree_map(lambda leaf: _move(leaf, device), value) for name, value in values.items()})


def _move(leaf: Any, device: torch.device | str) -> Any:  # noqa: ANN401
    if isinstance(leaf, TokenBlock):
        return leaf.to(device)
    return on_device(leaf, device) if isinstance(leaf, Tensor) else leaf


@dataclass(frozen=True)
class Batch:
    """The data from which an agent's loss is computed, a function of the parameters and of the batch alone.

    The loss is a weighted sum, Σ weights · term, so that losses of parts of a batch add up to the loss of the whole.

    Attributes:
        observations: as in the rollout.
        actions: as sampled, [T, B, …].
        weights: the weight of each row in the loss, [T, B]; 0 where the mask is False.
        advantages: Ψ_t, the factor of ∇ ln π(a_t|s_t), [T, B].
        log_probs: ln π(a|s) under the policy that sampled the actions, [T, B].
        targets: the critic's targets, [T, B]; None without a critic.
        episode_starts: where episodes begin, bool [T, B].
        memory: the policy's memory before row 0.
        reference_log_probs: ln π_ref(a|s) under a reference policy, [T, B]; None without one.
        num_learners: the number of independent learners to whom the columns belong.
        share: as in the rollout. In a batch of one's own columns it has the weights of the whole.
    """

    observations: Annotated[Tree, "per step"]
    actions: PerStep
    weights: PerStep
    advantages: PerStep
    log_probs: PerStep
    targets: Annotated[Any, "per step"] = None
    episode_starts: PerStep | None = None
    memory: Any = None
    reference_log_probs: PerStep | None = None
    num_learners: int = 1
    share: Share | None = None

    starts = renamed("starts", "episode_starts")

    @classmethod
    def of(cls, rollout: Rollout, *, advantages: Tensor, weights: Tensor, targets: Tensor | None = None) -> Batch:
        """Return the batch of a whole rollout, its numbers cast to the policy's precision, but at least to 32 bits.

        Advantages and targets are computed in the rewards' precision before, as they are differences of large numbers.
        """
        dtype = torch.promote_types(rollout.log_probs.dtype, torch.float32)
        same = {name: getattr(rollout, name) for name in shared_fields()}
        reference = None if rollout.reference_log_probs is None else rollout.reference_log_probs.to(dtype)
        targets = None if targets is None else targets.to(dtype)
        learned = {"weights": weights.to(dtype), "advantages": advantages.to(dtype), "targets": targets}
        return cls(**same | learned | {"reference_log_probs": reference})

    @property
    def mine(self) -> Batch:
        """The columns that this process has collected; the batch itself where there are no others."""
        return own(self)

    @property
    def has_weight(self) -> bool:
        """Whether there is a step to learn from, on any process."""
        return bool((self.weights if self.share is None or self.share.weights is None else self.share.weights).any())

    def sum(self, term: Tensor) -> Tensor:
        """Return Σ weights · term over one's own columns, a scalar, for a term [T, B]."""
        return torch.dot(self.weights.flatten().to(term.dtype), term.flatten())

    def total(self, values: Tensor) -> Tensor:
        """Return the sum over all processes of what is a sum over one's own columns, without a gradient."""
        values = values.detach()
        return values if self.share is None else self.share.total(values)

    def means(self, **terms: Tensor) -> WeightedMetrics:
        """Return the weighted means of terms [T, B], by name, for an update's metrics."""
        ranks = None if self.share is None else self.share.ranks
        return WeightedMetrics(self.weights, terms, self.num_learners, ranks)


@cache
def shared_fields() -> tuple[str, ...]:
    """Return the names of the fields that a batch has from its rollout."""
    return tuple(one.name for one in fields(Batch) if one.name in {other.name for other in fields(Rollout)})


Record = TypeVar("Record", Rollout, Batch)


def map_steps(function: Callable[..., Any], record: Record, *others: Record) -> Record:
    """Return a rollout or a batch with `function` applied to every array of steps, [T, B, …].

    Args:
        function: of an array of `record`, and of the same array of each of `others`.
        record: the first; whatever is not of steps stays as it has it.
        others: more of its kind.
    """
    fields = {}
    for name in step_fields(type(record)):  # type: ignore[arg-type] # classes are hashable
        if getattr(record, name) is not None:
            fields[name] = tree_map(function, *(getattr(one, name) for one in (record, *others)))
    return replace(record, **fields)
