"""Any Gymnasium environment as a stream of valid transitions: the three autoreset modes are dealt with here, once."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv
from numpy.typing import NDArray

from pg_agents.masks import MASK, MaskReader, with_mask
from pg_agents.tree import Tree, tree_leaves, tree_map


class FaultyEnvironmentError(RuntimeError):
    """An environment broke its contract: a NaN, a wrong shape; the message names the environment and the step."""


class Transition(NamedTuple):
    """One step of all B environments; rows that are not `live` took no decision and carry zeros.

    Attributes:
        live: bool [B].
        rewards: float64 [B].
        terminated: bool [B].
        truncated: bool [B]; False where terminated.
        done: bool [B], terminated or truncated.
        returns: rewards summed over each running or just ended episode, this step included, float64 [B].
        lengths: the same of steps, int64 [B].
        final: observations [B, …] that followed the step; in rows that are done, the true last one.
        reasons: why episodes ended, where infos have a "stop_reason", [B] texts; None: they have none.
    """

    live: NDArray[np.bool_]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    done: NDArray[np.bool_]
    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    final: Tree
    reasons: NDArray[Any] | None = None


def as_vector_env(env: gym.Env | VectorEnv) -> VectorEnv:
    """Return `env`, or a vector environment of one row around a single environment.

    The wrapped form resets at the next step: environments that reuse one observation array would overwrite their last
    observation if they were reset in the same one.
    """
    if isinstance(env, VectorEnv):
        return env
    if not isinstance(env, gym.Env):
        raise TypeError(f"env must be a gymnasium.Env or a gymnasium.vector.VectorEnv, got {type(env).__name__}")
    return SyncVectorEnv([lambda: env], autoreset_mode=AutoresetMode.NEXT_STEP)


class Stream:
    """A vector environment's present: what it shows, which rows decide next, what the running episodes have collected.

    Args:
        env: single or vector; its `metadata["autoreset_mode"]` is honoured. `metadata["absorbing"]` says that rows
            which have ended may be stepped and stay as they are: they wait for the others, all are reset together.
        seed: spread over the rows with numpy's SeedSequence, at the first reset only.

    Attributes:
        observation: [B, …] arrays; where infos have action masks, these are folded in (`masks.with_mask`).
        infos: that came with it.
        live: rows whose next action counts, bool [B].
        starts: rows whose observation begins an episode, bool [B].
        times: steps taken in the running episodes, int64 [B].
        returns: rewards summed over the running episodes, float64 [B].
        steps: calls of `env.step` so far.
        takes_seeds: whether the environment takes a seed for each row.
    """

    def __init__(self, env: gym.Env | VectorEnv, seed: int) -> None:
        self.env = as_vector_env(env)
        self.num_envs = self.env.num_envs
        self.name = _name(self.env)
        if "autoreset_mode" not in self.env.metadata:
            raise ValueError(
                f"env: {self.name} does not declare how it resets; set its "
                'metadata["autoreset_mode"] to a gymnasium.vector.AutoresetMode'
            )
        self.mode = AutoresetMode(self.env.metadata["autoreset_mode"])
        self.absorbing = self.mode is AutoresetMode.DISABLED and bool(self.env.metadata.get("absorbing", False))
        self.none, self.all = np.zeros(self.num_envs, bool), np.ones(self.num_envs, bool)
        self.steps, self.live = 0, self.all
        self.takes_seeds = takes_seeds(self.env)
        self.masks = MaskReader(self.env.single_observation_space, self.env.single_action_space, self.num_envs)
        seeds = [int(word) for word in np.random.SeedSequence(seed).generate_state(self.num_envs)]
        self.reset(seeds if self.takes_seeds else seeds[0])

    def reset(self, seed: int | list[int] | None = None) -> None:
        """Start new episodes in all rows."""
        ended = ~self.live if self.mode is AutoresetMode.NEXT_STEP else self.none
        try:
            observation, infos = self.env.reset(seed=seed)  # type: ignore[arg-type] # VectorEnv forgets lists
        except (ValueError, TypeError) as error:
            raise FaultyEnvironmentError(f"{self.name} failed at reset, after step {self.steps}: {error}") from error
        self._check("observation", observation, self.env.observation_space)
        self._begin(observation, infos)
        if ended.any() and not getattr(self.env.unwrapped, "shared_memory", True):
            self.live = self.starts = ~ended  # Gymnasium's workers reset such rows once more, in place of the next step
        self._fold(infos)

    def _begin(self, observation: Tree, infos: dict[str, Any]) -> None:
        self.observation, self.infos = observation, infos
        self.live = self.starts = self.all
        self.times, self.returns = np.zeros(self.num_envs, np.int64), np.zeros(self.num_envs)

    def step(self, actions: NDArray[Any]) -> Transition:
        """Take one step in all rows and return what was valid of it.

        Raises:
            FaultyEnvironmentError: a reward or observation that is not finite or has the wrong shape.
        """
        observation, rewards, terminated, truncated, infos = self._step(actions)
        live = self.live
        done = terminated | truncated
        truncated = done ^ terminated  # where both happened it terminated
        if live is not self.all:
            rewards, terminated, truncated, done = rewards * live, terminated & live, truncated & live, done & live
        self.returns, self.times = self.returns + rewards, self.times + live
        returns, times = self.returns, self.times
        final = self._move_on(observation, infos, done)
        if self.masks.beside or self.masks.inside or MASK in infos:
            self._fold(infos)
            final = with_mask(final, self.masks.free) if self.masks.beside else final
        reasons = infos.get("final_info", infos).get("stop_reason")
        return Transition(live, rewards, terminated, truncated, done, returns, times, final, reasons)

    def _move_on(self, observation: Tree, infos: dict[str, Any], done: NDArray[np.bool_]) -> Tree:
        """Set what comes next, as the autoreset mode says; return the observations that followed the step."""
        any_done = np.count_nonzero(done) > 0  # in a fifth of the time that done.any() takes
        final, self.observation, self.infos = observation, observation, infos
        if self.mode is AutoresetMode.NEXT_STEP:  # rows that had ended before this step were reset by it
            self.starts = ~self.live if self.live is not self.all else self.none
            self.live = ~done if any_done else self.all
        elif self.absorbing:
            self.starts, self.live = self.none, self.live & ~done if any_done else self.live
            if not self.live.any():
                self._begin(*self.env.reset())
        else:
            self.starts = done if any_done else self.none
            if any_done and self.mode is AutoresetMode.SAME_STEP:
                final = _with_rows(observation, infos["final_obs"], done)
                self._check("final observation", final, self.env.observation_space)
            elif any_done:  # copies: the environment may write to its observation, and takes the mask out of the dict
                final = tree_map(np.copy, observation)
                self.observation, self.infos = self.env.reset(options={"reset_mask": done.copy()})
                self._check("observation", self.observation, self.env.observation_space)
        if any_done:
            self.returns, self.times = np.where(done, 0.0, self.returns), np.where(done, 0, self.times)
        return final

    def _fold(self, infos: dict[str, Any]) -> None:
        """Put the masks that came with a step, and with a reset that followed it, beside the observation."""
        reset = None if self.infos is infos else self.infos
        try:
            self.observation = self.masks.fold(self.observation, infos, reset, self.starts, self.live)
        except ValueError as error:
            raise FaultyEnvironmentError(f"{self.name} gave {error} (step {self.steps})") from error

    def _step(self, actions: NDArray[Any]) -> tuple[Tree, Any, Any, Any, dict[str, Any]]:
        self.steps += 1
        try:
            observation, rewards, terminated, truncated, infos = self.env.step(actions)
        except (ValueError, TypeError) as error:
            raise FaultyEnvironmentError(f"{self.name} failed at step {self.steps}: {error}") from error
        except Exception as error:
            error.add_note(f"raised by {self.name} at step {self.steps}")
            raise
        self._check("reward", rewards)
        self._check("observation", observation, self.env.observation_space)
        flags = np.asarray(terminated, np.bool_), np.asarray(truncated, np.bool_)
        return observation, np.asarray(rewards, np.float64), *flags, infos

    def _check(self, what: str, values: Tree, space: gym.Space | None = None) -> None:
        """Refuse what is not finite or has the wrong shape."""
        if isinstance(space, gym.spaces.Tuple):
            for i, inner in enumerate(space.spaces):
                self._check(f"{what} {i}", values[i], inner)
            return
        if isinstance(space, gym.spaces.Dict):
            for key, inner in space.items():
                self._check(f"{what} {key!r}", values[key], inner)
            return
        shape = (self.num_envs,) if space is None else space.shape or ()
        values = np.asarray(values)
        # The sum of squares, the fastest of sums, shows any NaN or infinity; only then it pays to look closer.
        if values.shape == shape and values.dtype.kind == "f" and math.isfinite(np.vdot(values, values)):
            return
        if values.shape != shape:
            raise FaultyEnvironmentError(
                f"{self.name} returned {_a(what)} of shape {values.shape} at step {self.steps}, expected {shape}"
            )
        outside = isinstance(space, gym.spaces.MultiDiscrete) and (values < space.start) | (
            values >= space.start + space.nvec
        )
        if np.any(outside):
            raise FaultyEnvironmentError(
                f"{self.name} returned {_a(what)} outside its space at step {self.steps}: {values}, space {space}"
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0])
            raise FaultyEnvironmentError(
                f"{self.name} returned {_a(what)} that is not finite at step {self.steps}, "
                f"environment {row}: {values[row]}"
            )


def _name(env: gym.Env | VectorEnv) -> str:
    """Return the environment's id, or the class of what is inside where it has none."""
    if env.spec is not None:
        return env.spec.id
    core: Any = env.unwrapped
    return _name(core.envs[0]) if isinstance(core, SyncVectorEnv) else type(core).__name__


def _with_rows(observation: Tree, final: Any, done: NDArray[np.bool_]) -> Tree:  # noqa: ANN401
    """Return `observation` with the rows `done` replaced by those of `final` (arrays, or one tree for each row)."""
    if isinstance(final, np.ndarray) and final.dtype == object:
        rows = tree_map(lambda *leaves: np.stack(leaves), *final[done])
    else:
        rows = tree_map(lambda leaf: leaf[done], final)
    merged = tree_map(np.array, observation)
    for into, values in zip(tree_leaves(merged), tree_leaves(rows), strict=True):
        into[done] = values
    return merged


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def takes_seeds(env: VectorEnv) -> bool:
    """Return whether the environment takes a seed for each row; Gymnasium's native vector environments take one."""
    several = isinstance(env.unwrapped, SyncVectorEnv | AsyncVectorEnv)
    return several or bool(env.metadata.get("seeds_per_environment"))
