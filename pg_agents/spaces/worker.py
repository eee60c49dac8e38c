"""The process of one environment of an AsyncVectorEnv: it tells why it fails, and ends with the run's process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import gymnasium as gym
from gymnasium.vector.async_vector_env import _async_worker

from pg_agents.data.state import State
from pg_agents.errors import FaultyEnvironmentError
from pg_agents.spaces.env_state import GET, RESTORE, restore, state_of

LOOKS = 0.5  # seconds between two looks for the process that the worker works for


def worker(
    index: int,
    env_fn: Callable[[], gym.Env],
    pipe: Connection,
    parent_pipe: Connection,
    shared_memory: Any,  # noqa: ANN401
    error_queue: Any,  # noqa: ANN401
    *more: Any,  # noqa: ANN401
) -> None:
    """Be a worker of `AsyncVectorEnv(env_fns, worker=pg_agents.worker)`: Gymnasium's own, with four promises more.

    - What an environment raises while it is made is an error of the vector environment, which names its row, instead of
      a broken pipe. An exception that cannot be sent between processes is sent as its text.
    - It ends within a second of the process that it works for, even if that was killed and the environment hangs
      (unless in code in C that keeps Python's lock).
    - Its state can be asked for (see `env_state`).
    - Ctrl-C, which a terminal sends to all processes, is left to the process that it works for.

    Args:
        index: the environment's row.
        env_fn: makes the environment.
        pipe: the worker's end of its pipe.
        parent_pipe: the other end.
        shared_memory: where observations go.
        error_queue: where errors go.
        *more: further arguments of Gymnasium's worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # not the handler of the process that was forked
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    try:
        env = env_fn()
    except (Exception, SystemExit) as error:
        parent_pipe.close()
        pipe.recv()  # the question whether spaces are equal
        text = f"environment {index} cannot be made: {_told(error)}"
        error_queue.put((index, FaultyEnvironmentError, text, traceback.format_exc()))
        pipe.send((None, False))
    else:
        with suppress(AttributeError, TypeError):  # an environment that takes no attributes has no state
            WorkerState(env, index)
        errors: Any = Sendable(error_queue)
        _async_worker(index, lambda: env, pipe, parent_pipe, shared_memory, errors, *more)


def _told(error: BaseException) -> str:
    return (
        f"it called sys.exit({error.code!r})" if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
    )


def _end_with(parent: int) -> None:
    """End this process once `parent` has ended, and another process is this one's parent."""
    while os.getppid() == parent:
        time.sleep(LOOKS)
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


class Sendable:
    """A queue of workers' errors; of an exception that cannot be pickled and made again, only the text goes through it.

    Args:
        queue: takes (row, class of the exception, exception, traceback).
    """

    def __init__(self, queue: Any) -> None:  # noqa: ANN401
        self.queue = queue

    def put(self, item: tuple[int, type[BaseException], BaseException, str]) -> None:
        """Send an error."""
        index, kind, value, trace = item
        try:
            kind(ForkingPickler.loads(ForkingPickler.dumps(value)))  # as the queue does, and then Gymnasium
        except Exception:
            kind, value = RuntimeError, RuntimeError(_told(value))
        self.queue.put((index, kind, value, trace))


class WorkerState:
    """The state of a worker: its environment's, and whether it will reset instead of taking the next step.

    Its methods become attributes of the environment, where calls of an AsyncVectorEnv find them.

    Args:
        env: the worker's environment.
        index: its row.
    """

    def __init__(self, env: gym.Env, index: int) -> None:
        self.env, self.index = env, index
        setattr(env, GET, self.get)
        setattr(env, RESTORE, self.restore)

    def get(self) -> State | None:
        """Return the state; None if the environment has none."""
        worker_resets = sys._getframe(1).f_locals.get("autoreset")  # a variable of Gymnasium's worker, which calls this
        state = None if worker_resets is None else state_of(self.env)
        return None if state is None else {"ended": bool(worker_resets) or "step" in vars(self.env), "env": state}

    def restore(self, rows: list[State]) -> None:
        """Put the environment into its state of those of all rows."""
        own = rows[self.index]
        restore(self.env, own["env"])
        if own["ended"]:
            self._reset_first()

    def _reset_first(self) -> None:
        """Let the next step be a reset, as after the end of an episode, unless a reset comes before."""
        env: Any = self.env

        def step(action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:  # noqa: ANN401
            observation, info = reset()
            return observation, 0, False, False, info

        def reset(**how: Any) -> tuple[Any, dict[str, Any]]:  # noqa: ANN401
            del env.step, env.reset
            return env.reset(**how)

        env.step, env.reset = step, reset
