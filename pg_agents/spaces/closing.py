"""Closes environments without waiting for workers that are dead or hang."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, VectorEnv
from gymnasium.vector.async_vector_env import AsyncState

from pg_agents.errors import FaultyEnvironmentError
from pg_agents.spaces.time_limit import OutOfTime, time_limit

Env = TypeVar("Env", bound=gym.Env | VectorEnv)


@contextmanager
def closing(env: Env, step_timeout: float | None = None) -> Iterator[Env]:
    """A context at whose end `env` is closed, even if workers have died; see `close`."""
    try:
        yield env
    finally:
        close(env, step_timeout)


def close(env: gym.Env | VectorEnv, step_timeout: float | None = None) -> None:
    """Close `env`; its workers are killed if one is dead, has not answered, or does not end in time.

    Args:
        env: the environment.
        step_timeout: seconds that closing may take; None: 120 with workers, as long as it likes without.

    Raises:
        FaultyEnvironmentError: an environment in this process did not close in time.
    """
    core, limit = env.unwrapped, time_limit(env, step_timeout)
    workers = core if isinstance(core, AsyncVectorEnv) else None
    if workers is not None and not workers.closed and not at_rest(workers):
        kill(workers)
    try:
        with limit:
            limit.call(env.close)
    except (EOFError, ConnectionError, OutOfTime) as error:  # a worker has died in the meantime, or hangs
        if workers is None:
            raise FaultyEnvironmentError(f"{type(core).__name__} failed to close: {error}") from error
        kill(workers)


def at_rest(core: AsyncVectorEnv) -> bool:
    """Return whether no answer is outstanding and every process is alive, except those that reported an error."""
    pairs = zip(core.processes, core.parent_pipes, strict=True)
    return core._state is AsyncState.DEFAULT and all(process.is_alive() for process, pipe in pairs if pipe is not None)


def kill(core: AsyncVectorEnv) -> None:
    """End every process and close every pipe, also of one whose constructor was cut off."""
    started = [process for process in getattr(core, "processes", ()) if process.pid is not None]
    for process in started:
        process.kill()
    for process in started:
        process.join()
    for pipe in getattr(core, "parent_pipes", ()):
        if pipe is not None:
            pipe.close()
    core.closed = True
