"""Closes environments without waiting for dead workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import gymnasium as gym
from gymnasium.vector import AsyncVectorEnv, VectorEnv
from gymnasium.vector.async_vector_env import AsyncState

Env = TypeVar("Env", bound=gym.Env | VectorEnv)


@contextmanager
def closing(env: Env) -> Iterator[Env]:
    """A context at whose end `env` is closed, even if workers have died."""
    try:
        yield env
    finally:
        close(env)


def close(env: gym.Env | VectorEnv) -> None:
    """Close `env`; its workers are killed if one is dead or has not answered."""
    core = env.unwrapped
    if not isinstance(core, AsyncVectorEnv):
        env.close()
        return
    if not core.closed and not at_rest(core):
        kill(core)
    try:
        env.close()
    except (EOFError, ConnectionError):  # a worker has died in the meantime
        kill(core)


def at_rest(core: AsyncVectorEnv) -> bool:
    """Return whether no answer is outstanding and every process is alive, except those that reported an error."""
    pairs = zip(core.processes, core.parent_pipes, strict=True)
    return core._state is AsyncState.DEFAULT and all(process.is_alive() for process, pipe in pairs if pipe is not None)


def kill(core: AsyncVectorEnv) -> None:
    """End every process and close every pipe."""
    for process in core.processes:
        process.kill()
    for process, pipe in zip(core.processes, core.parent_pipes, strict=True):
        process.join()
        if pipe is not None:
            pipe.close()
    core.closed = True
