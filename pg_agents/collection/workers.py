"""Finds which environment of a vector environment failed, and why."""

from __future__ import annotations

import signal
import traceback
from multiprocessing.connection import wait
from typing import Any, NamedTuple

import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from pg_agents.collection.fewer_rows import FewerRows
from pg_agents.spaces.closing import at_rest, kill
from pg_agents.spaces.time_limit import OutOfTime
from pg_agents.spaces.worker_envs import waited_for


class Cause(NamedTuple):
    """Why a call of a vector environment failed.

    Attributes:
        text: one sentence.
        row: the environment that failed; None: unknown.
        error: the exception, possibly from another process; None: a process ended without one.
    """

    text: str
    row: int | None
    error: BaseException | None


def cause_of(env: VectorEnv, error: BaseException) -> Cause:
    """Return why a call of `env` raised `error`, read from its traceback; unresponsive workers are killed.

    Gymnasium formats a worker's traceback with %, which fails if it contains one, and constructs the worker's exception
    from its text, which fails for some classes: the original exception is a variable of the frame.
    """
    cause = _cause_of(env.unwrapped, error)
    if isinstance(env, FewerRows) and cause.row is not None:
        return cause._replace(row=int(env.places[cause.row]))
    return cause


def _cause_of(core: VectorEnv, error: BaseException) -> Cause:
    if isinstance(core, AsyncVectorEnv):
        lost = isinstance(error, EOFError | ConnectionError)
        cause = _lost_worker(core, error) if lost else _in_worker(core, error)
        if not at_rest(core) or isinstance(error, OutOfTime):
            kill(core)
        return cause
    text = told(error)
    if isinstance(core, SyncVectorEnv):
        frame = _last_frame(error, core)
        return Cause(_no_number(core, error, frame) or text, frame.get("i"), error)
    return Cause(text, None, error)


def told(error: BaseException) -> str:
    """Return an exception as a text; what ValueError and TypeError say stands for itself."""
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    return str(error) if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {error}"


def _last_frame(error: BaseException, core: VectorEnv) -> dict[str, Any]:
    """Return the variables of the last frame in which a method of `core` was running."""
    found = [frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((names for names in reversed(found) if names.get("self") is core), {})


def _in_worker(core: AsyncVectorEnv, error: BaseException) -> Cause:
    frames = {frame.f_code.co_name: frame.f_locals for frame, _ in traceback.walk_tb(error.__traceback__)}
    if "trace" in (names := frames.get("_raise_if_errors", {})):
        return Cause(f"{names['exctype'].__name__}: {names['value']}", names["index"], names["value"])
    if names:  # the exception could not be constructed from its text, or never arrived
        text = f"its exception cannot be sent between processes ({error}); make it with SyncVectorEnv to see it"
        return Cause(text, list(names["successes"]).index(False), None)
    reading = frames.get("step_wait", {})
    for row, reward in enumerate(reading.get("rewards", ())):
        if not _is_number(reward):
            return Cause(f"its reward is {reward!r}, not a number", row, error)
    unread = len(reading.get("truncations", core.processes)) < core.num_envs  # what an environment sent is no answer
    waited = waited_for(core, error)
    return Cause(told(error), reading["env_idx"] if waited is None and unread else waited, error)


def _is_number(reward: Any) -> bool:  # noqa: ANN401
    try:
        return np.ndim(reward) == 0 and float(reward) is not None
    except (TypeError, ValueError):
        return False


def _lost_worker(core: AsyncVectorEnv, error: BaseException) -> Cause:
    """Return which process has ended and how."""
    ended = wait([process.sentinel for process in core.processes], timeout=1.0)
    for row, process in enumerate(core.processes):
        if process.sentinel in ended:
            process.join(1.0)  # its pipes close a moment before its exit code is known
            code = process.exitcode or 0
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            return Cause(f"its process {how}", row, None)
    return Cause(f"a pipe to a process broke ({error!r})", None, None)


def _no_number(core: SyncVectorEnv, error: BaseException, frame: dict[str, Any]) -> str | None:
    """Return which value of a step is not a number, if that caused the error, by taking one more step."""
    last = [frame for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
    if last.f_locals.get("self") is not core or last.f_code.co_name != "step" or "action" not in frame:
        return None
    try:
        _, reward, terminated, truncated, _ = core.envs[frame["i"]].step(frame["action"])
    except Exception:
        return None
    for key, value in {"reward": reward, "terminated": terminated, "truncated": truncated}.items():
        if np.ndim(value):
            return f"its {key} is {value!r}, not a number"
    return None
