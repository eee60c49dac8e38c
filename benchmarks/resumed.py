"""Experiments saved after every run, so that an interrupted one continues where it was."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from typing import Any

from benchmarks.experiments import Run
from benchmarks.records import RESULTS, write

Result = dict[str, Any]
Done = dict[tuple[str, int], Result]  # by a cell's key and a seed


def run_missing(
    name: str,
    cells: Sequence[Run],
    learn: Callable[[Run, int], Result],
    summarise: Callable[[Run, list[Result]], Result],
    seeds: Sequence[int],
    workers: int,
) -> Result:
    """Run what is missing in results/`name`.json, and return its contents.

    Args:
        name: of the experiment.
        cells: agents in environments.
        learn: does a run and returns what is to be known of it: at least its seed, `after` and `wall_seconds`.
        summarise: what is to be known of a cell from its runs.
        seeds: of the runs.
        workers: processes side by side.
    """
    done = _stored(name)
    missing = [(cell, seed) for seed in seeds for cell in cells if (_key(cell), seed) not in done]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(learn, cell, seed): (cell, seed) for cell, seed in missing}
        for future in as_completed(futures):
            cell, seed = futures[future]
            done[_key(cell), seed] = result = future.result()
            _store(name, cells, done, summarise, seeds)
            score = f"{result['after']:9.3f}  {result['wall_seconds']:4.0f} s"
            print(f"{cell.agent:20} {cell.env:26} seed {seed} {score}", flush=True)
    return _store(name, cells, done, summarise, seeds)


def _key(cell: Run) -> str:
    return json.dumps(asdict(cell), sort_keys=True)


def _stored(name: str) -> Done:
    """Return the runs that are there."""
    file = RESULTS / f"{name}.json"
    done: Done = {}
    for result in json.loads(file.read_text())["results"] if file.exists() else ():
        cell = Run(**{field: result[field] for field in Run.__dataclass_fields__ if field in result})
        done |= {(_key(cell), one["seed"]): one for one in result["runs"]}
    return done


def _store(
    name: str,
    cells: Sequence[Run],
    done: Done,
    summarise: Callable[[Run, list[Result]], Result],
    seeds: Sequence[int],
) -> Result:
    results = []
    for cell in cells:
        runs = [done[_key(cell), seed] for seed in seeds if (_key(cell), seed) in done]
        if runs:
            results.append(asdict(cell) | {"runs": runs} | summarise(cell, runs))
    return write(name, f"python -m benchmarks {name}", {"commit": "that of each run", "results": results})
