"""Action masks: which actions are allowed in the current state.

An environment gives a mask in `info["action_mask"]`, which `with_mask` adds to the observation, or in its observation,
a Dict with the key "action_mask". Either way the observation becomes a dict with that key; `split_mask` takes it apart
again. In a mask True (1) allows:

- Discrete(n): n entries, one per action.
- MultiDiscrete: Σ nvec entries, those of the first component first.
- MultiBinary: as many entries as it has; False keeps the entry at 0.

Entries other than 0 and 1 are refused: a mask of 0 and −∞, meant to be added to logits, would be read the wrong way
round.

Where a mask forbids every action, the policy treats all as allowed, so that rows in which no decision is taken may
carry any mask; in other rows `EnvAdapter` refuses such a mask.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from pg_agents._fast.arrays import any_true
from pg_agents.data.encoded import Encoded
from pg_agents.data.tree import Tree
from pg_agents.spaces.conversion import brief

MASK, OBSERVATION = "action_mask", "observation"
MEANING = "a mask is 1 (True) where an action is allowed, 0 (False) elsewhere"


def mask_size(action_space: gym.Space) -> int | None:
    """Return the number of entries of a mask for `action_space`; None for a space without masks (Box)."""
    if isinstance(action_space, spaces.Discrete):
        return int(action_space.n)
    if isinstance(action_space, spaces.MultiDiscrete):
        return int(action_space.nvec.sum())
    if isinstance(action_space, spaces.MultiBinary):
        return int(np.prod(action_space.shape))
    return None


def observes_mask(observation_space: gym.Space) -> bool:
    """Return whether observations contain the mask."""
    return isinstance(observation_space, spaces.Dict) and MASK in observation_space.spaces


def with_mask(observations: Tree, mask: Tree) -> dict[str, Tree]:
    """Return a dict of the observations and the mask."""
    return {OBSERVATION: observations, MASK: mask}


def split_mask(observations: Tree) -> tuple[Tree, Tree | None]:
    """Return the observations without their mask, and the mask; None where there is none.

    A remaining dict whose only key is "observation" is unpacked, as `with_mask` and PettingZoo write it.
    """
    if not (isinstance(observations, dict) and MASK in observations):
        return observations, observations.mask if isinstance(observations, Encoded) else None
    rest = {key: value for key, value in observations.items() if key != MASK}
    return rest[OBSERVATION] if rest.keys() == {OBSERVATION} else rest, observations[MASK]


def without_mask(observation_space: gym.Space) -> gym.Space:
    """Return the space of observations after `split_mask`."""
    if not isinstance(observation_space, spaces.Dict) or MASK not in observation_space.spaces:
        return observation_space
    rest = {key: space for key, space in observation_space.items() if key != MASK}
    return rest[OBSERVATION] if rest.keys() == {OBSERVATION} else spaces.Dict(rest)


def as_mask(given: Any) -> NDArray[np.bool_]:  # noqa: ANN401
    """Return one mask, or a batch of masks, as bool.

    Raises:
        ValueError: an entry is neither 0 nor 1.
    """
    given = np.asarray(given)
    if given.dtype == bool:
        return given
    if given.dtype.kind in "iuf":
        masks = given.astype(bool)
        wrong = masks != given
        if not any_true(wrong):
            return masks
        given = given[wrong].ravel()[0]
    raise ValueError(f"an {MASK} that holds {brief(given)}; {MEANING}")


def flat_mask(given: Any) -> NDArray[np.bool_]:  # noqa: ANN401
    """Return one mask, [entries]; a list or tuple may hold one mask for each component of a MultiDiscrete."""
    if not isinstance(given, list | tuple):
        return as_mask(given).ravel()
    return np.concatenate([flat_mask(part) for part in given]) if given else np.zeros(0, bool)


def nothing_allowed(masks: NDArray[np.bool_], action_space: gym.Space) -> NDArray[np.bool_]:
    """Return which masks, bool [B, entries], allow no action, bool [B]: for a MultiDiscrete, in any component."""
    if isinstance(action_space, spaces.MultiBinary):
        return np.zeros(len(masks), bool)
    if isinstance(action_space, spaces.MultiDiscrete):
        firsts = np.cumsum(action_space.nvec) - action_space.nvec.ravel()
        return np.asarray(~np.logical_or.reduceat(masks, firsts, axis=1).all(1))
    return np.asarray(~masks.any(1))
