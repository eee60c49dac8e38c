"""Tasks on the machines of a Ray cluster; what a machine that is lost was doing is done again on another."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pg_envs
import ray
from ray.exceptions import RayError, RayTaskError, WorkerCrashedError

import benchmarks
import pg_agents
from benchmarks.suite.on_this_machine import died
from benchmarks.suite.tasks import Done, Task, measure
from pg_agents.errors import UserError
from pg_agents.shown import printable, shortened
from pg_agents.training.signals import Signals

RETRIES = 2  # of a task whose process or machine is lost
SECONDS = 0.5  # between two looks
SECONDS_TO_ANSWER = 20
ADDRESS = re.compile(r"(ray://)?(?P<host>[^:/]+):(?P<port>\d+)")
NOT_SENT = ["*.png", "*.jsonl", "__pycache__", ".git", ".venv", "benchmark-results"]


def cluster(address: str | None = None) -> Callable[..., None]:
    """Return what carries tasks out on a cluster, which gets our code, and the folder of the user's file, from here.

    Args:
        address: of the cluster; None: that of the variable RAY_ADDRESS, or without it processes of this machine.
    """

    def carry_out(tasks: Sequence[Task], jobs: int | None, each: Callable[[Done], None]) -> None:
        if not tasks:
            return
        _connect(address, tasks)
        try:
            _carry_out(tasks, jobs or len(tasks), each)
        finally:
            ray.shutdown()

    return carry_out


def _connect(address: str | None, tasks: Sequence[Task]) -> None:
    """Connect to the cluster, whose processes then import what is imported here.

    Raises:
        UserError: there is no cluster at the address, or files of the user lie in more than one folder.
    """
    environment: dict[str, Any] = {
        "py_modules": [str(Path(module.__file__ or "").parent) for module in (benchmarks, pg_agents, pg_envs)],
        "excludes": NOT_SENT,
    }
    if folders := sorted({str(Path(task.source).parent) for task in tasks if _is_file(task)}):
        if len(folders) > 1:
            raise UserError(f"run: files on a cluster must lie in one folder, got {', '.join(folders)}; run one by one")
        environment["working_dir"] = folders[0]
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster that begins here reports to nobody
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        if address and (where := ADDRESS.fullmatch(address)):
            socket.create_connection(
                (where["host"], int(where["port"])), SECONDS_TO_ANSWER
            ).close()  # Ray takes minutes
        ray.init(address, runtime_env=environment, log_to_driver=False, logging_level="ERROR")
    except (OSError, ValueError, OverflowError) as error:
        reason = shortened(printable(str(error)), 200)
        raise UserError(
            f"ray-address: no cluster answers at {address!r} ({reason}); start it, or leave it out"
        ) from error


def _is_file(task: Task) -> bool:
    return task.source.endswith((".py", ".toml"))


def _carry_out(tasks: Sequence[Task], most: int, each: Callable[[Done], None]) -> None:
    """Keep at most so many tasks with the cluster, and take from it what is done; a signal ends it."""
    remote = ray.remote(num_cpus=1, max_retries=RETRIES)(measure)
    waiting, running = list(reversed(tasks)), dict[Any, Task]()
    with Signals(True, lambda: "ended") as signals:
        while waiting or running:
            while waiting and len(running) < most:
                task = waiting.pop()
                running[remote.remote(_there(task))] = task
            ready, _ = ray.wait(list(running), timeout=SECONDS)
            if signals.number is not None:
                signals.ends()
                return
            for reference in ready:
                each(_done(reference, running.pop(reference)))


def _there(task: Task) -> Task:
    """Return the task as it is called on the cluster, where the folder of a user's file is the working directory."""
    return replace(task, source=Path(task.source).name) if _is_file(task) else task


def _done(reference: Any, task: Task) -> Done:  # noqa: ANN401
    """Return what a task has measured, or that the machines have failed."""
    try:
        return replace(ray.get(reference), task=task)
    except RayTaskError as error:  # a bug of ours, or code that the machine cannot import
        return died(task, f"{type(error.cause).__name__}: {shortened(printable(str(error.cause)))}")
    except WorkerCrashedError:
        return died(task)
    except RayError as error:
        return died(task, f"{type(error).__name__}: {shortened(printable(str(error)))}")
