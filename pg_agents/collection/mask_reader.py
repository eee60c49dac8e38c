"""Reads action masks from an environment's infos or observations."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from pg_agents.data.tree import Tree
from pg_agents.spaces.action_masks import (
    MASK,
    as_mask,
    flat_mask,
    mask_size,
    nothing_allowed,
    observes_mask,
    with_mask,
)
from pg_agents.spaces.conversion import brief


class MaskReader:
    """Reads which actions B environments allow next, from their infos or their observations.

    Args:
        observation_space: the space of one environment's observations.
        action_space: the space of one environment's actions.
        num_envs: B.

    Attributes:
        inside: whether observations contain the masks.
        beside: whether infos do, known from the first reset; None before it.
        free: the mask that allows every action, bool [B, entries].
        idle: rows whose actions are ignored, and which may forbid every one, bool [B].
    """

    def __init__(self, observation_space: gym.Space, action_space: gym.Space, num_envs: int) -> None:
        self.space, self.inside = action_space, observes_mask(observation_space)
        self.beside: bool | None = None
        self.free = np.ones((num_envs, mask_size(action_space) or 0), bool)
        self.idle = np.zeros(num_envs, bool)

    def fold(
        self,
        observation: Tree,
        infos: dict[str, Any],
        reset: dict[str, Any] | None,
        episode_starts: NDArray[np.bool_],
        valid: NDArray[np.bool_],
    ) -> Tree:
        """Return the observation, with the masks of the infos if they have any.

        Args:
            observation: the observation for the next action, [B, …].
            infos: the infos of the step, which may include resets.
            reset: the infos of a separate reset after the step; None without one.
            episode_starts: rows that begin an episode, bool [B].
            valid: rows whose next action counts, bool [B].

        Raises:
            ValueError: a mask forbids every action of a valid row, has a wrong size or other entries than 0 and 1, or
                the first reset's infos had no mask.
        """
        if self.beside is None:
            self.beside = MASK in infos and not self.inside and mask_size(self.space) is not None
        if self.beside:
            masks = self._read(infos, self.free)
            if reset is not None:
                masks = self._read(reset, masks | episode_starts[:, None])
            observation = with_mask(observation, masks)
        elif MASK in infos and not self.inside and self.free.size:
            raise ValueError(f"an {MASK} in its info, but none at its first reset: all infos must have one")
        if self.inside or self.beside:
            bad = nothing_allowed(as_mask(observation[MASK]), self.space) & valid
            if bad.any() and (bad := bad & ~self.idle).any():
                raise ValueError(f"an {MASK} that forbids every action, in environment {np.flatnonzero(bad)[0]}")
        return observation

    def _read(self, infos: dict[str, Any], otherwise: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the masks, bool [B, entries]; `otherwise` [B, entries] in rows whose info has none."""
        if MASK not in infos:
            return otherwise
        given, present = np.asarray(infos[MASK]), np.asarray(infos.get(f"_{MASK}", self.free[:, 0]), bool)
        if given.shape[:1] != present.shape:
            raise ValueError(f"an {MASK} that holds {brief(infos[MASK])}, expected an array {self.free.shape}")
        masks = otherwise.copy()
        for row in np.flatnonzero(present) if given.dtype == object else (present,):  # lists are read row by row
            flat = flat_mask(given[row]) if given.dtype == object else as_mask(given[row])
            if flat.size != masks[row].size:
                raise ValueError(f"an {MASK} of shape {np.shape(given[row])}, expected {masks[row].shape}")
            masks[row] = np.reshape(flat, masks[row].shape)
        return masks
