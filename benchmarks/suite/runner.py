"""The runner: measures what is due, and writes a record of each seed of each cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.suite.progress import Shown
from benchmarks.suite.provenance import commit
from benchmarks.suite.records import Record, append, read
from benchmarks.suite.selection import Chosen
from benchmarks.suite.tasks import Done, Task, due

RESULTS = Path(__file__).parent.parent / "results"
LOG = "run.log"


# Carries tasks out, so many at a time, and calls the function with each that is done.
Backend = Callable[[Sequence[Task], int, Callable[[Done], None]], None]


def file_of(experiment: str, folder: Path) -> Path:
    """Return the file of an experiment's records."""
    return folder / f"{experiment}.jsonl"


def run(chosen: Sequence[Chosen], backend: Backend, jobs: int, out: Path, command: str, *, publish: bool) -> int:
    """Measure what has no good record, and return the number of tasks that failed.

    What is exclusive runs last, one task at a time.

    Args:
        chosen: experiments, cells, seeds.
        backend: carries tasks out.
        jobs: how many run at a time.
        out: the folder of the log, and of the records unless they are published.
        command: what was typed.
        publish: whether records go to `RESULTS`, with those good ones that `out` has already.
    """
    folder = RESULTS if publish else out
    before: dict[str, float] = {}
    beside, alone = [], []
    said = command, commit()
    for one in chosen:
        experiment = one.experiment
        if publish:
            _take_over(one, out)
        records = read(file_of(experiment.name, folder))
        known = [*read(file_of(experiment.name, RESULTS)), *records]
        before |= {f"{experiment.name}/{r.cell['name']}": r.seconds for r in known if r.seconds and r.is_good}
        if experiment.missing is None:
            tasks = due(experiment, one.cells, one.seeds, records, said)
            (alone if experiment.exclusive else beside).extend(tasks)
    with Shown(out / LOG, [*beside, *alone], jobs, before) as progress:
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


def _take_over(one: Chosen, out: Path) -> None:
    """Add to the published records the good ones in `out` that they lack."""
    published = file_of(one.experiment.name, RESULTS)

    def good(path: Path) -> dict[tuple[str, int], Record]:
        current = one.experiment.current(read(path))
        return {(record.cell["name"], record.seed): record for record in current if record.is_good}

    there = good(published)
    for place, record in good(file_of(one.experiment.name, out)).items():
        if place not in there:
            append(published, record)
