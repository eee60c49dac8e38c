"""Action masks: which actions are allowed, beside what is observed.

An environment says so in `info["action_mask"]`, which `with_mask` folds into the observation, or in its observation, a
Dict with the key "action_mask". Either way the observation is a dict with that key; `split_mask` takes it apart again.
In a mask True (1) allows:

- Discrete(n): n entries, one an action.
- MultiDiscrete: Σ nvec entries, those of the first component first.
- MultiBinary: as many entries as it has; False keeps the entry at 0.

Nothing but 0 and 1 is a mask: one that is added to logits, 0 and −∞, would be read the wrong way round.

Where a mask forbids everything there is nothing to choose from: the policy then goes on as if all were allowed, so that
rows in which no decision is taken may carry any mask; `EnvAdapter` refuses the others.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from pg_agents.data.tree import Tree

MASK, OBSERVATION = "action_mask", "observation"
MEANING = "a mask is 1 (True) where an action is allowed, 0 (False) elsewhere"


def mask_size(action_space: gym.Space) -> int | None:
    """Return how many entries a mask of these actions has; None for actions that have no masks (Box)."""
    if isinstance(action_space, spaces.Discrete):
        return int(action_space.n)
    if isinstance(action_space, spaces.MultiDiscrete):
        return int(action_space.nvec.sum())
    if isinstance(action_space, spaces.MultiBinary):
        return int(np.prod(action_space.shape))
    return None


def observes_mask(observation_space: gym.Space) -> bool:
    """Return whether the observations themselves hold the mask."""
    return isinstance(observation_space, spaces.Dict) and MASK in observation_space.spaces


def with_mask(observations: Tree, mask: Tree) -> dict[str, Tree]:
    """Return the observations with the mask that came beside them."""
    return {OBSERVATION: observations, MASK: mask}


def split_mask(observations: Tree) -> tuple[Tree, Tree | None]:
    """Return the observations without their mask, and the mask; None where there is none.

    What is left of a dict is unpacked if its one key is "observation", as `with_mask` and PettingZoo have it.
    """
    if not (isinstance(observations, dict) and MASK in observations):
        return observations, None
    rest = {key: value for key, value in observations.items() if key != MASK}
    return rest[OBSERVATION] if rest.keys() == {OBSERVATION} else rest, observations[MASK]


def without_mask(observation_space: gym.Space) -> gym.Space:
    """Return the space of what `split_mask` leaves of observations."""
    if not isinstance(observation_space, spaces.Dict) or MASK not in observation_space.spaces:
        return observation_space
    rest = {key: space for key, space in observation_space.items() if key != MASK}
    return rest[OBSERVATION] if rest.keys() == {OBSERVATION} else spaces.Dict(rest)


def as_mask(given: Any) -> NDArray[np.bool_]:  # noqa: ANN401
    """Return what was given for a mask, or for several, as bool.

    Raises:
        ValueError: anything in it is neither 0 nor 1.
    """
    given = np.asarray(given)
    if given.dtype == bool:
        return given
    if given.dtype.kind in "iuf":
        masks = given.astype(bool)
        wrong = masks != given
        if not np.count_nonzero(wrong):  # in a fifth of the time that wrong.any() takes
            return masks
        given = given[wrong].ravel()[0]
    raise ValueError(f"an {MASK} that holds {_brief(given)}; {MEANING}")


def _brief(value: Any) -> str:  # noqa: ANN401
    return " ".join(str(value)[:100].split())


def flat_mask(given: Any) -> NDArray[np.bool_]:  # noqa: ANN401
    """Return one mask, [entries]; a list or a tuple may have a part for each choice of a MultiDiscrete."""
    if not isinstance(given, list | tuple):
        return as_mask(given).ravel()
    return np.concatenate([flat_mask(part) for part in given]) if given else np.zeros(0, bool)


def nothing_allowed(masks: NDArray[np.bool_], action_space: gym.Space) -> NDArray[np.bool_]:
    """Return which masks, bool [B, entries], leave no action, bool [B]: of a MultiDiscrete, no option of a choice."""
    if isinstance(action_space, spaces.MultiBinary):
        return np.zeros(len(masks), bool)
    if isinstance(action_space, spaces.MultiDiscrete):
        firsts = np.cumsum(action_space.nvec) - action_space.nvec.ravel()
        return np.asarray(~np.logical_or.reduceat(masks, firsts, axis=1).all(1))
    return np.asarray(~masks.any(1))
