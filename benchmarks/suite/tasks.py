"""What is due, as tasks, and how a process carries one out."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from benchmarks.suite.experiment import Experiment, content
from benchmarks.suite.finding import load
from benchmarks.suite.machine import MIB, forget_peak, machine, peak_megabytes
from benchmarks.suite.provenance import versions
from benchmarks.suite.records import Record
from pg_agents.shown import printable, shortened

Place = tuple[str, int]  # a cell's name, and a seed


@dataclass(frozen=True)
class Task:
    """Seeds of one cell that a process measures.

    Attributes:
        experiment: the experiment's name.
        source: where `load` finds it.
        cell: the cell's content.
        seeds: several are one batch.
        command: what was typed.
        commit: the checkout's.
    """

    experiment: str
    source: str
    cell: dict[str, Any]
    seeds: tuple[int, ...]
    command: str
    commit: str

    @property
    def name(self) -> str:
        """What is measured, for people."""
        return f"{self.experiment}/{self.cell['name']}"


@dataclass(frozen=True)
class Done:
    """A task's records, and what Python said where it failed.

    Attributes:
        task: what was to be measured.
        records: one a seed.
        traces: tracebacks.
    """

    task: Task
    records: tuple[Record, ...]
    traces: tuple[str, ...] = ()


def due(
    experiment: Experiment, cells: Sequence[Any], seeds: Sequence[int], done: Collection[Place], said: tuple[str, str]
) -> list[Task]:
    """Return the tasks for cells and seeds that are not done, those of what is exclusive in rounds.

    Args:
        experiment: the experiment.
        cells: those of its cells that are asked for.
        seeds: of each cell.
        done: names of cells, and seeds.
        said: the command and the commit, for the records.
    """
    tasks = []
    for cell in cells:
        left = tuple(seed for seed in seeds if (cell.name, seed) not in done)
        batches = experiment.batches(cell, left)
        tasks += [Task(experiment.name, experiment.source, content(cell), batch, *said) for batch in batches]
    return in_rounds(tasks, seeds) if experiment.exclusive else tasks


def in_rounds(tasks: Sequence[Task], seeds: Sequence[int]) -> list[Task]:
    """Return tasks in the order of their seeds, with all cells of a seed next to each other: seeds are rounds.

    Every second round is backwards, so that no cell always follows another: a machine that grows slower, or warmer,
    then does so for all alike.
    """
    place = {seed: i for i, seed in enumerate(seeds)}
    rounds: list[list[Task]] = [[] for _ in place]
    for task in tasks:
        rounds[place[task.seeds[0]]].append(task)
    return [task for i, each in enumerate(rounds) for task in (each if i % 2 == 0 else each[::-1])]


def measure(task: Task) -> Done:
    """Carry out a task; what fails becomes a record of its error.

    Where a batch of several seeds fails, each is measured by itself: the failure of one is not that of the others.
    """
    started = datetime.now(UTC).isoformat(timespec="seconds")
    begun = time.perf_counter()
    forget_peak()
    found, traces = _outcomes(task)
    seconds = round((time.perf_counter() - begun) / len(task.seeds), 3)
    peak = round(peak_megabytes() * 1e6 / MIB, 1)
    records = [
        Record(
            experiment=task.experiment,
            cell=task.cell,
            seed=seed,
            result=None if isinstance(found[seed], str) else found[seed],
            error=found[seed] if isinstance(found[seed], str) else None,
            command=task.command,
            commit=task.commit,
            machine=machine(),
            versions=versions(),
            seconds=seconds,
            peak_memory_mib=peak,
            started=started,
            code=load(task.source).code,
        )
        for seed in task.seeds
    ]
    return Done(task, tuple(records), tuple(traces))


def _outcomes(task: Task) -> tuple[dict[int, Any], list[str]]:
    """Return for each seed its result, or its error as a text; and the tracebacks."""
    found: dict[int, Any] = {}
    traces: list[str] = []
    if len(task.seeds) > 1:
        try:
            return _results(task, task.seeds), traces
        except (Exception, SystemExit):
            traces.append(traceback.format_exc())
    for seed in task.seeds:
        try:
            found |= _results(task, (seed,))
        except (Exception, SystemExit) as error:
            traces.append(traceback.format_exc())
            found[seed] = shortened(printable(f"{type(error).__name__}: {error}"))
    return found, traces


def _results(task: Task, seeds: tuple[int, ...]) -> dict[int, dict[str, Any]]:
    """Measure, and return the results as JSON holds them."""
    experiment = load(task.source)
    cell = next((cell for cell in experiment.cells if content(cell) == task.cell), None)
    if cell is None:
        raise RuntimeError(f"{task.name} is another cell here; let all machines have the same code")
    results: Mapping[int, Any]
    if len(seeds) > 1 and experiment.run_seeds is not None:
        results = experiment.run_seeds(cell, seeds)
    else:
        results = {seed: experiment.run(cell, seed) for seed in seeds}
    return {seed: _as_json(results[seed]) for seed in seeds}


def _as_json(result: Any) -> dict[str, Any]:  # noqa: ANN401
    if not isinstance(result, dict):
        raise TypeError(f"run must return a dict, got {type(result).__name__}")
    return json.loads(json.dumps(result))
