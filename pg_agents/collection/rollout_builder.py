"""Builds a rollout from the steps of all environments."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pg_agents._fast.arrays import any_true, stack_rows
from pg_agents.collection.actor import Actor, PolicyStep
from pg_agents.collection.env_adapter import EnvAdapter, Transition
from pg_agents.collection.episode_groups import own_groups
from pg_agents.collection.rows_in_place import RowsInPlace
from pg_agents.data.devices import on_device
from pg_agents.data.rollout import Rollout, TokenBlock
from pg_agents.data.tree import Tree, tree_map

Array = NDArray[Any]


class RolloutBuilder:
    """Collects the rows of a rollout without copies, and stacks them once at the end (but see `rows`).

    Args:
        adapter: the environments.
        actor: the policy acting in them.
        append_only: the rollout is whole episodes of tokens, whose last window contains all earlier ones.
        group_ids: equal for environments that share their initial state, [B]; None: those of the infos, if any.
        rows: holds the observations of the steps already; None: they are stacked.
    """

    def __init__(
        self,
        adapter: EnvAdapter,
        actor: Actor,
        *,
        append_only: bool = False,
        group_ids: Array | None = None,
        rows: RowsInPlace | None = None,
    ) -> None:
        self.device = actor.device
        self.append_only, self.rows = append_only, rows
        self.encoder_version = actor.policy.encoder_version
        self.memory = actor.memory if actor.policy.recurrent and not adapter.episode_starts.all() else None
        self.group_ids = own_groups(adapter) if group_ids is None else group_ids
        self.decisions: list[PolicyStep] = []
        self.log_probs: list[Tensor] = []  # of tokens, computed at each step: all logits take too much memory
        self.columns: tuple[list[Array], ...] = ([], [], [], [], [], [])
        self.finals: list[tuple[NDArray[np.int64], Tree]] = []  # (t, b) of each row, and the observations after them
        self.ended: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
        self.reasons: list[str] = []
        self.tokens: NDArray[np.int64] | None = None  # the last window of each append-only episode, [B, W]

    def add(
        self,
        decision: PolicyStep,
        step: Transition,
        mask: NDArray[np.bool_],
        terminated: NDArray[np.bool_],
        truncated: NDArray[np.bool_],
        episode_starts: NDArray[np.bool_],
        times: NDArray[np.int64],
    ) -> None:
        """Append one row; `mask` marks the environments whose transition belongs to the rollout, bool [B]."""
        if self.append_only:
            self.log_probs.append(decision.distribution.log_prob(decision.actions))
            decision = decision._replace(distribution=None)  # type: ignore[arg-type] # frees the logits
        if decision.features is not None and self.rows is not None:
            decision = decision._replace(features=self.rows.keep_features(decision.features))
        self.decisions.append(decision)
        for column, values in zip(
            self.columns, (step.rewards, terminated, truncated, mask, episode_starts, times), strict=True
        ):
            column.append(values)
        self.following = step.final
        done = terminated | truncated
        if any_true(done):
            self._end(step, done, truncated)

    def _end(self, step: Transition, done: NDArray[np.bool_], truncated: NDArray[np.bool_]) -> None:
        """Keep the returns, lengths and final observations of episodes that ended in the last row."""
        self.ended.append((step.returns[done], step.lengths[done]))
        if step.reasons is not None:
            self.reasons += _texts(step.reasons, done)
        if self.append_only:
            tokens = step.final["tokens"]
            self.tokens = np.array(tokens) if self.tokens is None else self.tokens
            self.tokens[done] = tokens[done]
        if any_true(truncated):
            self._keep_final(step.final, np.flatnonzero(truncated))

    def finish(self, running: NDArray[np.bool_]) -> None:
        """Keep the observations after the last row of environments whose episode goes on."""
        if any_true(running):
            self._keep_final(self.following, np.flatnonzero(running))

    def _keep_final(self, final: Tree, rows: NDArray[np.int64]) -> None:
        index = np.empty((len(rows), 2), np.int64)
        index[:, 0], index[:, 1] = len(self.decisions) - 1, rows
        self.finals.append((index, tree_map(lambda leaf: leaf[rows], final)))

    def rollout(self) -> Rollout:
        """Return the rollout."""
        seen, distributions, actions, features = zip(*self.decisions, strict=True)
        taken = torch.stack(actions)  # [T, B, …]
        rewards, *flags = (on_device(stack_rows(column), self.device) for column in self.columns)
        terminated, truncated, mask, episode_starts, times = flags
        final_observations, final_rows = self._final(self.following if self.append_only else seen[0])
        returns, lengths = zip(*self.ended, strict=True) if self.ended else ((), ())
        log_probs = torch.stack(self.log_probs) if self.log_probs else None
        return Rollout(
            observations=self._block(seen, mask) if self.append_only else self._observations(seen),
            actions=taken,
            log_probs=distributions[0].stack(distributions).log_prob(taken) if log_probs is None else log_probs,
            rewards=rewards * mask,
            terminated=terminated,
            truncated=truncated,
            mask=mask,
            episode_starts=episode_starts,
            times=times,
            final_observations=final_observations,
            final_rows=final_rows,
            episode_returns=torch.from_numpy(np.concatenate(returns or [np.zeros(0)])),
            episode_lengths=torch.from_numpy(np.concatenate(lengths or [np.zeros(0, np.int64)])),
            stop_reasons=tuple(self.reasons),
            memory=self.memory,
            group_ids=None if self.group_ids is None else on_device(self.group_ids, self.device),
            features=self._features(features),
            encoder_version=self.encoder_version,
        )

    def _observations(self, seen: tuple[Tree, ...]) -> Tree:
        if self.rows is not None and self.rows.complete:
            return on_device(self.rows.whole, self.device)
        return tree_map(self._stack, seen[0], *seen[1:])

    def _features(self, features: tuple[Tensor | None, ...]) -> Tensor | None:
        if features[0] is None:
            return None
        return torch.stack(features) if self.rows is None else self.rows.features  # type: ignore[arg-type] # all or none

    def _stack(self, *leaves: Array) -> Tensor:
        return on_device(stack_rows(leaves), self.device)

    def _final(self, example: Tree) -> tuple[Tree, Tensor]:
        """Return the final observations [K, …] and their rows [K, 2]."""
        if self.finals:
            indices, several = zip(*self.finals, strict=True)
            index, kept = np.concatenate(indices), tree_map(lambda *leaves: np.concatenate(leaves), *several)
        else:
            index, kept = np.zeros((0, 2), np.int64), tree_map(lambda leaf: np.array(leaf[:0]), example)
        return on_device(kept, self.device), on_device(index, self.device)

    def _block(self, observations: tuple[Tree, ...], mask: Tensor) -> TokenBlock:
        """Return append-only episodes as one block: the last window contains all earlier ones."""
        lengths = self._stack(*(observation["length"] for observation in observations))  # [T, B]
        tokens = on_device(self.tokens, self.device)
        width = int(lengths.max())
        return TokenBlock(tokens[:, :width], lengths, mask)


def _texts(reasons: Any, done: NDArray[np.bool_]) -> list[str]:  # noqa: ANN401
    """Return the stop reasons of the rows `done`; none if the info's "stop_reason" is not one string per row."""
    reasons = np.asarray(reasons)
    if reasons.shape != done.shape or reasons.dtype.kind not in "UO":
        return []
    return [reason if isinstance(reason, str) else "" for reason in reasons[done].tolist()]
