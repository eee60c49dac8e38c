"""Conversions for `Acting.act`: one observation or a batch → tensors, a policy's actions → the environment's."""

from __future__ import annotations

import math
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from torch import Tensor

from pg_agents.data.devices import on_device
from pg_agents.data.tree import Tree, tree_map
from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies.policy import Memory, Policy
from pg_agents.spaces.action_masks import (
    MASK,
    OBSERVATION,
    as_mask,
    flat_mask,
    mask_size,
    nothing_allowed,
    observes_mask,
    with_mask,
)
from pg_agents.spaces.conversion import brief, to_env_action

Array = NDArray[Any]
Counts = list[int | None]  # the number of observations in each array; None: one, without a batch axis


def tensors_of(
    given: Tree, made_for: tuple[Any, Any] | None, device: torch.device, *, as_learned: bool = False
) -> tuple[Tree, int | None]:
    """Return observations as tensors [B, …], and B; for one observation, a batch of one and None.

    Args:
        given: one observation or a batch, told apart by the space's shape, with or without a mask: arrays, lists,
            numbers or tensors.
        made_for: the spaces of observations and actions; None: unknown, and `given` is one observation.
        device: the tensors' device.
        as_learned: floats in the precision of their space, as environments give them, instead of their own.

    Raises:
        ValueError: a wrong shape, a value outside the space, a number that is not finite, or an invalid mask.
    """
    if made_for is None:
        try:
            return tree_map(lambda leaf: torch.as_tensor(_writable(leaf), device=device)[None], given), None
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"observation must be numbers, got {brief(given)} ({brief(error)})") from error
    space, action_space = made_for
    counts: Counts = []
    if _is_returned(given, space):
        raise ValueError(
            f"observation: got a tuple of {len(given)}, as env.reset and env.step return it; pass its first item"
        )
    masked = isinstance(given, dict) and MASK in given
    if masked:
        given = given | {MASK: _mask(given[MASK])}
    if masked and not observes_mask(space):
        arrays = _arrays(space, given.get(OBSERVATION), "observation['observation']", counts)
        arrays = with_mask(arrays, _masks(given[MASK], action_space, counts))
    else:
        arrays = _arrays(space, given, "observation", counts)
    if any(count != counts[0] for count in counts):
        raise ValueError(f"observation: its arrays must hold the same number of observations; got {_numbers(counts)}")
    if masked and counts[0] is None and nothing_allowed(as_mask(arrays[MASK]), action_space).any():
        raise ValueError(f"observation: an {MASK} that forbids every action")
    if as_learned:
        seen = arrays[OBSERVATION] if masked and not observes_mask(space) else arrays
        same = _in_precision(space, seen)
        arrays = arrays | {OBSERVATION: same} if seen is not arrays else same
    return on_device(arrays, device), counts[0]


def _in_precision(space: Any, arrays: Tree) -> Tree:  # noqa: ANN401
    """Return observations with those of a Box of floats in its precision."""
    if isinstance(space, spaces.Dict):
        return {key: _in_precision(inner, arrays[key]) for key, inner in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_in_precision(inner, part) for inner, part in zip(space.spaces, arrays, strict=True))
    floats = isinstance(space, spaces.Box) and np.issubdtype(space.dtype, np.floating)
    return arrays.astype(space.dtype, copy=False) if floats else arrays


def actions_of(taken: Tensor, made_for: tuple[Any, Any] | None, count: int | None) -> Any:  # noqa: ANN401
    """Return a policy's actions [B, …] in the environment's form; only the first one if `count` is None."""
    actions = taken.numpy(force=True) if made_for is None else to_env_action(made_for[1])(taken)
    return actions[0] if count is None else actions


def memory_of(policy: Policy, memory: Memory, episode_starts: Any, count: int | None) -> Memory:  # noqa: ANN401
    """Return the memory to act with, reset in the rows in which an episode starts.

    Args:
        policy: the policy that acts.
        memory: its memory after the previous observations.
        episode_starts: where an episode begins, bool [B]; None: nowhere.
        count: B; None for one observation.

    Raises:
        ValueError: the number of rows or of learners is not B.
    """
    rows = 1 if count is None else count
    if rows % policy.num_learners:
        raise ValueError(
            f"observation: {policy.num_learners} independent learners need a batch of as many observations for each; "
            f"got {rows}; agent.learner(i) is one of them"
        )
    if isinstance(memory, Tensor) and len(memory) != rows:
        raise ValueError(
            f"memory: it has {len(memory)} rows for {rows} observations; pass the memory that the last call returned, "
            "or None at the start of all episodes"
        )
    if episode_starts is None:
        return memory
    begins = np.array(episode_starts.numpy(force=True) if isinstance(episode_starts, Tensor) else episode_starts)
    if begins.dtype != bool or begins.size != rows or begins.ndim > 1:
        raise ValueError(f"episode_starts must be {rows} bools, one per observation, got {brief(episode_starts)}")
    return policy.reset_memory(memory, on_device(begins.reshape(rows), next(policy.parameters()).device))


def _is_returned(given: Any, space: gym.Space) -> bool:  # noqa: ANN401
    """Return whether `given` is the whole tuple that env.reset or env.step returns, instead of the observation."""
    if not isinstance(given, tuple) or len(given) not in (2, 5) or not isinstance(given[-1], dict):
        return False
    inner = space.spaces if isinstance(space, spaces.Tuple) else ()
    return len(inner) != len(given) or not isinstance(inner[-1], spaces.Dict)


def _writable(leaf: Any) -> Any:  # noqa: ANN401
    """Return a copy of an array: torch refuses negative strides and read-only arrays."""
    return np.array(leaf) if isinstance(leaf, np.ndarray) else leaf


def _arrays(space: gym.Space, given: Tree, name: str, counts: Counts) -> Tree:
    """Return observations as arrays [B, …], and add the number of observations of each to `counts`."""
    if space.shape is not None:
        return _array(space, given, name, counts)
    if isinstance(space, spaces.Dict):
        if not isinstance(given, dict) or not given.keys() >= space.spaces.keys():
            found = f"the keys {brief(list(given))}" if isinstance(given, dict) else brief(given)
            raise ValueError(f"{name} must be a dict with the keys {brief(list(space.spaces))}, got {found}")
        return {key: _arrays(inner, given[key], f"{name}[{key!r}]", counts) for key, inner in space.items()}
    if isinstance(space, spaces.Tuple):
        if not isinstance(given, tuple | list) or len(given) != len(space.spaces):
            raise ValueError(f"{name} must be a tuple of {len(space.spaces)}, got {brief(given)}")
        return tuple(_arrays(inner, given[i], f"{name}[{i}]", counts) for i, inner in enumerate(space.spaces))
    raise UnsupportedSpaceError(f"{name}: the space {brief(space)} is not supported")


def _array(space: gym.Space, given: Any, name: str, counts: Counts) -> Array:  # noqa: ANN401
    """Return the observations of a space of numbers, [B, …]."""
    shape: Any = space.shape
    values = _numbers_of(given, name)
    if values.shape == shape:
        counts.append(None)
        values = values[None]
    elif values.shape[1:] == shape and values.ndim > len(shape):
        counts.append(len(values))
    else:
        batch = ", ".join(map(str, ("B", *shape)))
        raise ValueError(f"{name} has the shape {values.shape}; one observation has {shape}, a batch ({batch})")
    return _inside(space, values, name, counts[-1] is None)


def _numbers_of(given: Any, name: str) -> Array:  # noqa: ANN401
    """Return `given` as an array of a dtype that torch has, always a copy."""
    if isinstance(given, Tensor):
        given = (given.float() if given.dtype is torch.bfloat16 else given).numpy(force=True)
    try:
        values = np.array(given)
    except ValueError:  # lists of unequal lengths
        values = np.array(None)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers, got {brief(given)}")
    if values.dtype.isnative and values.dtype.itemsize <= 8:
        return values
    return values.astype(np.float64 if values.dtype.kind == "f" else values.dtype.newbyteorder("="))


def _inside(space: gym.Space, values: Array, name: str, single: bool) -> Array:
    """Return observations [B, …], categories as int64; ValueError if one is outside the space or not finite."""
    if isinstance(space, spaces.Box):
        # The sum of squares, the fastest of sums, shows any NaN or infinity; each value is checked only then.
        if values.dtype.kind != "f" or math.isfinite(np.vdot(values, values)) or (finite := np.isfinite(values)).all():
            return values
        wrong, expected = ~finite, "which is not finite"
    else:
        low, high = _bounds(space)
        wrong = (values < low) | (values > high)
        if values.dtype.kind == "f":
            wrong |= values != np.floor(values)
        if not np.count_nonzero(wrong):
            return values.astype(np.int64)
        expected = f"outside of {brief(space)}"
    index = np.argwhere(wrong)[0].tolist()
    entry = index[1:] if single else index
    raise ValueError(f"{name}{entry or ''} is {values[tuple(index)]}, {expected}")


def _bounds(space: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Return the least and the greatest values of Discrete, MultiDiscrete and MultiBinary observations."""
    if isinstance(space, spaces.Discrete):
        return int(space.start), int(space.start) + int(space.n) - 1
    if isinstance(space, spaces.MultiDiscrete):
        low = space.start.astype(np.int64)
        return low, low + space.nvec.astype(np.int64) - 1
    return 0, 1


def _mask(given: Any) -> NDArray[np.bool_]:  # noqa: ANN401
    """Return one mask, or a batch of masks, as bool, always a copy."""
    given = given.numpy(force=True) if isinstance(given, Tensor) else given
    try:
        return np.array(as_mask(given))
    except ValueError:
        if isinstance(given, list | tuple):
            return flat_mask(given)  # one mask per component
        raise


def _masks(masks: NDArray[np.bool_], action_space: gym.Space, counts: Counts) -> NDArray[np.bool_]:
    """Return the masks of a batch of observations, [B, entries]."""
    size = mask_size(action_space)
    if size is None:
        raise ValueError(f"{MASK}: {action_space} has no masks; leave it out of the observation")
    if masks.shape[1:] == (size,):
        counts.append(len(masks))
        return masks
    if masks.size != size:
        raise ValueError(
            f"{MASK} has the shape {masks.shape}; a mask of {action_space} has {(size,)}, a batch (B, {size})"
        )
    counts.append(None)
    return masks.reshape(1, size)


def _numbers(counts: Counts) -> str:
    return " and ".join(map(str, ("one" if count is None else count for count in dict.fromkeys(counts))))
