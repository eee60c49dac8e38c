"""Environments that are closed without waiting for workers that are gone."""

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
    """A context at whose end `env` is closed, whatever has become of its workers."""
    try:
        yield env
    finally:
        close(env)


def close(env: gym.Env | VectorEnv) -> None:
    """Close `env`; workers that are gone, or whose answer is outstanding, are not waited for but killed."""
    core = env.unwrapped
    if not isinstance(core, AsyncVectorEnv):
        env.close()
        return
    if not core.closed and not at_rest(core):
        kill(core)
    try:
        env.close()
    except (EOFError, ConnectionError):  # one has ended in between
        kill(core)


def at_rest(core: AsyncVectorEnv) -> bool:
    """Return whether nothing is outstanding and every process is there but those whose error has been reported."""
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
