"""Vector environments with workers: made so that nothing is left behind; which worker was waited for when it failed."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, VectorEnv

from pg_agents.errors import FaultyEnvironmentError
from pg_agents.spaces.closing import kill
from pg_agents.spaces.time_limit import WORKERS, OutOfTime, TimeLimit, checked_timeout
from pg_agents.spaces.worker import worker


def make_vec(env_id: str, num_envs: int, arguments: Mapping[str, Any], step_timeout: float | None = None) -> VectorEnv:
    """Return gymnasium.make_vec(env_id, num_envs, **arguments); its workers, if it has some, are `worker`.

    Args:
        env_id: of Gymnasium's registry.
        num_envs: how many environments.
        arguments: of gymnasium.make_vec.
        step_timeout: seconds that making them may take; None: 120 with workers, as long as it likes without.

    Raises:
        FaultyEnvironmentError: an environment cannot be made in its worker, or they are not made in time; no process is
            left.
    """
    seconds = checked_timeout(step_timeout)
    if mode_of(arguments) == "async":
        arguments = {**arguments, "vector_kwargs": {"worker": worker, **(arguments.get("vector_kwargs") or {})}}
        seconds = WORKERS if step_timeout is None else seconds
    try:
        with TimeLimit(seconds) as limit:
            return limit.call(gym.make_vec, env_id, num_envs, **arguments)
    except (Exception, SystemExit, OutOfTime) as error:
        begun = [one for one in objects_in(error) if isinstance(one, AsyncVectorEnv)]
        row = waited_for(begun[0], error) if begun else None
        for core in begun:
            kill(core)
        if isinstance(error, FaultyEnvironmentError):
            raise FaultyEnvironmentError(f"{env_id}: {error}") from error
        if not isinstance(error, OutOfTime):
            raise
        which = "" if row is None else f"environment {row} "
        raise FaultyEnvironmentError(f"{env_id}: {which}cannot be made: {late(seconds)}") from error


def mode_of(arguments: Mapping[str, Any]) -> str | None:
    """Return the vectorization mode among arguments of gymnasium.make_vec, as a text; None: none is given."""
    mode = arguments.get("vectorization_mode")
    return None if mode is None else str(getattr(mode, "value", mode))


def late(seconds: float | None) -> str:
    """Return what to say of a call that took longer than `seconds`."""
    return f"it did not return within {seconds:g} seconds; if it needs longer, give a larger step_timeout"


def objects_in(error: BaseException) -> list[Any]:
    """Return the objects whose methods were running when `error` was raised, outermost first."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [frame.f_locals["self"] for frame in frames if "self" in frame.f_locals]


def waited_for(core: AsyncVectorEnv, error: BaseException) -> int | None:
    """Return the row whose answer was read, or waited for, when `error` was raised; None: unknown."""
    inner = [error, error.__cause__ or error.__context__]
    read = {id(one) for each in inner if each is not None for one in objects_in(each)}
    pipes = getattr(core, "parent_pipes", ())
    return next((row for row, pipe in enumerate(pipes) if pipe is not None and id(pipe) in read), None)
