"""The runner: measures what is due, and writes a record of each seed of each cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.suite.experiment import Experiment
from benchmarks.suite.progress import Shown
from benchmarks.suite.provenance import commit
from benchmarks.suite.records import Record, append, read
from benchmarks.suite.selection import Chosen
from benchmarks.suite.tasks import Done, Place, Task, due

RESULTS = Path(__file__).parent.parent / "results"
LOG = "run.log"


# Carries tasks out, so many at a time (None: as it sees fit), and calls the function with each that is done.
Backend = Callable[[Sequence[Task], int | None, Callable[[Done], None]], None]


def file_of(experiment: str, folder: Path) -> Path:
    """Return the file of an experiment's records."""
    return folder / f"{experiment}.jsonl"


def run(chosen: Sequence[Chosen], backend: Backend, jobs: int | None, out: Path, command: str, *, publish: bool) -> int:
    """Measure what has no good record, and return the number of tasks that failed.

    What is exclusive runs last, one task at a time.

    Args:
        chosen: experiments, cells, seeds.
        backend: carries tasks out.
        jobs: how many run at a time; None: as many as the backend sees fit.
        out: the folder of the log, and of the records unless they are published.
        command: what was typed.
        publish: whether records go to `RESULTS`, with those good ones that `out` has already.
    """
    folder = RESULTS if publish else out
    if publish:
        _take_over([one.experiment for one in chosen], out)
    tasks = _due(chosen, folder, (command, commit()))
    exclusive = {one.experiment.name for one in chosen if one.experiment.exclusive}
    alone = [task for task in tasks if task.experiment in exclusive]
    beside = [task for task in tasks if task.experiment not in exclusive]
    with Shown(out / LOG, [*beside, *alone], jobs, _seconds(chosen, folder)) as progress:
        for one in chosen:
            if one.experiment.missing:
                progress.say(f"{one.experiment.name}: {len(one.cells)} cells are missing: {one.experiment.missing}")

        def each(done: Done) -> None:
            for record in done.records:
                append(file_of(record.experiment, folder), record)
            progress.ended(done)

        backend(beside, jobs, each)
        backend(alone, 1, each)
    return progress.failed


def _due(chosen: Sequence[Chosen], folder: Path, said: tuple[str, str]) -> list[Task]:
    """Return the tasks of what has no good record; what is chosen twice is due once."""
    tasks: list[Task] = []
    for one in chosen:
        if one.experiment.missing is None:
            planned = {(t.cell["name"], seed) for t in tasks if t.experiment == one.experiment.name for seed in t.seeds}
            tasks += due(one.experiment, one.cells, one.seeds, planned | _good(one.experiment, folder).keys(), said)
    return tasks


def _good(experiment: Experiment, folder: Path) -> dict[Place, Record]:
    """Return the good records of an experiment's cells as they are now."""
    current = experiment.current(read(file_of(experiment.name, folder)))
    return {(record.cell["name"], record.seed): record for record in current if record.is_good}


def _seconds(chosen: Sequence[Chosen], folder: Path) -> dict[str, float]:
    """Return what a seed of each cell took when it was last measured."""
    records = [r for one in chosen for place in (RESULTS, folder) for r in read(file_of(one.experiment.name, place))]
    return {f"{r.experiment}/{r.cell['name']}": r.seconds for r in records if r.seconds and r.is_good}


def _take_over(experiments: Sequence[Experiment], out: Path) -> None:
    """Add to the published records the good ones in `out` that they lack."""
    for experiment in experiments:
        published = _good(experiment, RESULTS)
        for place, record in _good(experiment, out).items():
            if place not in published and experiment.reported([record]):
                append(file_of(experiment.name, RESULTS), record)
