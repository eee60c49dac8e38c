"""Adapts any Gymnasium environment: valid transitions, whichever of the three autoreset modes it has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from numpy.typing import NDArray

from pg_agents._fast.arrays import any_true
from pg_agents.collection.faults import Promise, may_overwrite, overwrites, promises, unchanged_rows, with_rows
from pg_agents.collection.mask_reader import MaskReader
from pg_agents.collection.vector_envs import as_vector_env, name_of
from pg_agents.collection.workers import cause_of
from pg_agents.data.tree import Tree, tree_map
from pg_agents.errors import FaultyEnvironmentError
from pg_agents.seeding import environment_seeds, seeds_of
from pg_agents.shown import shortened, shown
from pg_agents.spaces.action_masks import MASK, with_mask
from pg_agents.spaces.environments import takes_seeds
from pg_agents.spaces.time_limit import OutOfTime, time_limit
from pg_agents.spaces.worker_envs import late


class Transition(NamedTuple):
    """One step of all B environments; rows that are not `valid` took no decision and hold zeros.

    Attributes:
        valid: whether the row took a decision, bool [B].
        rewards: float64 [B].
        terminated: bool [B].
        truncated: bool [B]; False where terminated.
        done: bool [B], terminated or truncated.
        returns: the sum of rewards of each running or just ended episode, this step included, float64 [B].
        lengths: the number of steps of these episodes, int64 [B].
        final: the observations after the step, [B, …]; in rows that are done, the true last observation.
        reasons: why episodes ended, the infos' "stop_reason" (strings [B] in token environments); None without one.
    """

    valid: NDArray[np.bool_]
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    done: NDArray[np.bool_]
    returns: NDArray[np.float64]
    lengths: NDArray[np.int64]
    final: Tree
    reasons: NDArray[Any] | None = None


class EnvAdapter:
    """The current state of a vector environment: observations, rows that act next, returns of running episodes.

    Args:
        env: single or vector, with any `metadata["autoreset_mode"]`. With `metadata["absorbing"]`, stepping a row
            whose episode has ended changes nothing: such rows wait for the others, and all are reset together.
        seed: the seed from which each row's is derived (`seeding.environment_seeds`), at the first reset only; of
            several learners one each.
        step_timeout: seconds that one call of `env` may take (`time_limit`), inside the context `limit`.

    Attributes:
        observation: arrays [B, …]; action masks of infos are included (`action_masks.with_mask`).
        infos: the infos returned with the observation.
        valid: rows whose next action counts, bool [B].
        episode_starts: rows whose observation begins an episode, bool [B].
        times: the number of steps taken in the running episodes, int64 [B].
        returns: the sum of rewards of the running episodes, float64 [B].
        steps: the number of calls of `env.step`.
        takes_seeds: whether the environment takes a seed for each row.
        limit: a context in which calls of `env` end in time; one that did not is not made again.
        seeds: the latest seeds given to the rows, or one seed for all; None: none was given.

    In mode SAME_STEP, an environment that reuses one array for its observations has overwritten an episode's last
    observation before it can be read. If a last observation equals the first one of the next episode, the environment
    is tried once (`faults.overwrites`). The fault stays unnoticed in environments whose episodes do not end in the
    trial, and in vector environments, or workers, that are not Gymnasium's own.
    """

    def __init__(self, env: gym.Env | VectorEnv, seed: int | Sequence[int], step_timeout: float | None = None) -> None:
        self.env = as_vector_env(env)
        self.num_envs = self.env.num_envs
        self.name, self.limit = name_of(self.env), time_limit(self.env, step_timeout)
        if "autoreset_mode" not in self.env.metadata:
            raise ValueError(
                f"env: {self.name} does not declare how it resets; set its "
                'metadata["autoreset_mode"] to a gymnasium.vector.AutoresetMode'
            )
        self.mode = AutoresetMode(self.env.metadata["autoreset_mode"])
        self.absorbing = self.mode is AutoresetMode.DISABLED and bool(self.env.metadata.get("absorbing", False))
        self.none, self.all = np.zeros(self.num_envs, bool), np.ones(self.num_envs, bool)
        self.steps, self.valid = 0, self.all
        self.seeds: int | list[int] | None = None
        self.promised, self.rewards = promises(self.env), [Promise("a reward", (), (self.num_envs,))]
        self.flags = [Promise("a flag", (), (self.num_envs,))]
        self.may_overwrite = self.mode is AutoresetMode.SAME_STEP and may_overwrite(self.env)
        self.takes_seeds = takes_seeds(self.env)
        self.masks = MaskReader(self.env.single_observation_space, self.env.single_action_space, self.num_envs)
        with self.limit:
            self.begin(seed)

    def begin(self, seed: int | Sequence[int]) -> None:
        """Start new episodes in all rows, with seeds derived from `seed`; of several, each is for as many rows."""
        seeds = seeds_of(seed)
        rows = [row for seed in seeds for row in environment_seeds(seed, self.num_envs // len(seeds))]
        self.reset(rows if self.takes_seeds else rows[0] // 2)  # row i gets seed + i, which must stay below 2³¹

    def reset(self, seed: int | list[int] | None = None) -> None:
        """Start new episodes in all rows."""
        ended = ~self.valid if self.mode is AutoresetMode.NEXT_STEP else self.none
        self.seeds = self.seeds if seed is None else seed
        observation, infos = self._reset(seed=seed)
        self._begin(observation, infos)
        if ended.any() and not getattr(self.env.unwrapped, "shared_memory", True):
            self.valid = (
                self.episode_starts
            ) = ~ended  # Gymnasium's workers reset these rows again instead of taking the next step
        self._fold(infos)

    def _reset(self, **arguments: Any) -> tuple[Tree, dict[str, Any]]:  # noqa: ANN401
        try:
            observation, infos = self.limit.call(self.env.reset, **arguments)
        except (Exception, SystemExit, OutOfTime) as error:
            given = ", ".join(f"{name}={shown(value)}" for name, value in arguments.items()) or "no arguments"
            self.failed(error, f"at reset, after step {self.steps}", given)
        self._check(self.promised, observation)
        return observation, infos

    def _begin(self, observation: Tree, infos: dict[str, Any]) -> None:
        self.observation, self.infos = observation, infos
        self.valid = self.episode_starts = self.all
        self.times, self.returns = np.zeros(self.num_envs, np.int64), np.zeros(self.num_envs)

    def step(self, actions: NDArray[Any]) -> Transition:
        """Take one step in all rows and return the transition.

        Raises:
            FaultyEnvironmentError: the environment failed (a worker died, sys.exit was called, …), or a reward or an
                observation is not finite, has the wrong shape or is outside its space.
        """
        observation, rewards, terminated, truncated, infos = self._step(actions)
        valid = self.valid
        done = terminated | truncated
        truncated = done ^ terminated  # a step that does both counts as terminated
        if valid is not self.all:
            rewards, terminated, truncated, done = rewards * valid, terminated & valid, truncated & valid, done & valid
        self.returns, self.times = self.returns + rewards, self.times + valid
        returns, times = self.returns, self.times
        final = self._move_on(observation, infos, done)
        if self.masks.beside or self.masks.inside or MASK in infos:
            self._fold(infos)
            final = with_mask(final, self.masks.free) if self.masks.beside else final
        last = infos.get("final_info")
        reasons = (last if isinstance(last, dict) else infos).get("stop_reason")
        return Transition(valid, rewards, terminated, truncated, done, returns, times, final, reasons)

    def _move_on(self, observation: Tree, infos: dict[str, Any], done: NDArray[np.bool_]) -> Tree:
        """Set the next observation according to the autoreset mode; return the observations after the step."""
        any_done = any_true(done)
        final, self.observation, self.infos = observation, observation, infos
        if self.mode is AutoresetMode.NEXT_STEP:  # rows that had ended before this step were reset by it
            self.episode_starts = ~self.valid if self.valid is not self.all else self.none
            self.valid = ~done if any_done else self.all
        elif self.absorbing:
            self.episode_starts, self.valid = self.none, self.valid & ~done if any_done else self.valid
            if not self.valid.any():
                self._begin(*self._reset())
        else:
            self.episode_starts = done if any_done else self.none
            if any_done and self.mode is AutoresetMode.SAME_STEP:
                if "final_obs" not in infos:
                    raise FaultyEnvironmentError(
                        f"{self.name} ended episodes {self.where()} without the info 'final_obs', their last "
                        "observations, which its mode SAME_STEP requires; make it with AutoresetMode.NEXT_STEP"
                    )
                final = with_rows(observation, infos["final_obs"], done)
                self._check(self.promised, final)
                if self.may_overwrite:
                    self._check_overwriting(final, observation, done)
            elif any_done:  # copies: the environment may overwrite its observation, and removes the mask from options
                final = tree_map(np.copy, observation)
                self.observation, self.infos = self._reset(options={"reset_mask": done.copy()})
        if any_done:
            self.returns, self.times = np.where(done, 0.0, self.returns), np.where(done, 0, self.times)
        return final

    def _fold(self, infos: dict[str, Any]) -> None:
        """Add the masks of a step, and of the reset that followed it, to the observation."""
        reset = None if self.infos is infos else self.infos
        try:
            self.observation = self.masks.fold(self.observation, infos, reset, self.episode_starts, self.valid)
        except ValueError as error:
            raise FaultyEnvironmentError(f"{self.name} gave {error} (step {self.steps})") from error

    def _step(self, actions: NDArray[Any]) -> tuple[Tree, Any, Any, Any, dict[str, Any]]:
        self.steps += 1
        try:
            observation, rewards, terminated, truncated, infos = self.limit.call(self.env.step, actions)
        except (Exception, SystemExit, OutOfTime) as error:
            given = f"actions of dtype {actions.dtype}, shape {actions.shape}"
            self.failed(error, f"at step {self.steps}", given)
        terminated, truncated = np.array(terminated, np.bool_), np.asarray(truncated, np.bool_)
        self._check(self.rewards, rewards)
        self._check(self.promised, observation)
        if terminated.shape != truncated.shape or terminated.shape != self.all.shape:
            self._check(self.flags, terminated)
            self._check(self.flags, truncated)
        return observation, np.array(rewards, np.float64), terminated, truncated, infos

    def failed(self, error: BaseException, when: str, given: str) -> NoReturn:
        """Raise FaultyEnvironmentError for an error of the environment."""
        cause = cause_of(self.env, error)
        if isinstance(cause.error, KeyboardInterrupt):  # raised in a worker, reported as another error
            raise KeyboardInterrupt from error
        when += self._row(cause.row)
        if isinstance(error, OutOfTime):
            raise FaultyEnvironmentError(f"{self.name} failed {when}: {late(self.limit.seconds)}") from error
        handed = f" (it was given {given})" if isinstance(error, ValueError | TypeError) else ""
        raise FaultyEnvironmentError(f"{self.name} failed {when}: {cause.text}{handed}") from error

    def _row(self, row: int | None) -> str:
        """Return ", environment ROW, seed SEED", without what is unknown."""
        seed = self.seeds[row] if isinstance(self.seeds, list) and row is not None else self.seeds
        where = "" if row is None else f", environment {row}"
        return where if seed is None or isinstance(seed, list) else f"{where}, seed {seed}"

    def where(self, row: int | None = None) -> str:
        """Return the current step for a message: "at step 5, environment 1, seed 7"."""
        return f"at step {self.steps}{self._row(row)}"

    def _check(self, promised: list[Promise], values: Tree) -> None:
        """Raise FaultyEnvironmentError for values that are not finite, of a wrong shape or outside their space."""
        for promise in promised:
            if fault := promise.fault(values):
                raise FaultyEnvironmentError(
                    f"{self.name} returned {promise.noun} {fault.text} {self.where(fault.row)}: "
                    f"{shortened(str(fault.value))}, expected {fault.expected}"
                )

    def _check_overwriting(self, final: Tree, observation: Tree, done: NDArray[np.bool_]) -> None:
        """Raise FaultyEnvironmentError if a reset has overwritten an episode's last observation."""
        if rows := unchanged_rows(final, observation, done):
            self.may_overwrite = False  # one trial is enough
            if overwrites(self.env, rows[0]):
                raise FaultyEnvironmentError(
                    f"{self.name} writes its observations into one array, and a reset has overwritten the last of an "
                    f"episode {self.where(rows[0])}; make the vector environment with AutoresetMode.NEXT_STEP"
                )
