"""Runs one cell in its side's Python, and keeps what was found in results/durability.jsonl."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.durability.cells import Cell
from benchmarks.processes import answer, python_of

Record = dict[str, Any]
ROOT = Path(__file__).parents[2]
WORKERS = Path(__file__).parent / "workers"
TIMEOUT = 4 * 3600.0  # seconds for one cell


def run(cell: Cell, count: int, peers: Path, seed: int = 0) -> Record:
    """Return what was found in a cell; "not_run" says why nothing was.

    Raises:
        RuntimeError: the side failed; the message holds the end of what it wrote.
        FileNotFoundError: there is no virtual environment of the peers.
    """
    paths, script = [str(WORKERS)], str(WORKERS / f"side_{cell.side}.py")
    if cell.side == "ours":
        python = sys.executable
        paths += [str(ROOT), str(ROOT / "envs"), *filter(None, [os.environ.get("PYTHONPATH")])]
    else:
        python = python_of(peers)
    variables = {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    settings = {"fault": cell.fault, "way": cell.way, "count": count, "seed": seed}
    return answer([python, "-P", script], settings, variables, name=cell.name, timeout=TIMEOUT)


def read(file: Path) -> list[Record]:
    """Return the records of a file; a line that was cut off where a run was killed is left out."""
    records = []
    for line in file.read_text().splitlines() if file.exists() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            print(f"{file}: a line is no JSON and left out: {line[:60]}", file=sys.stderr)
    return records


def append(file: Path, record: Record) -> None:
    """Append a record on a line of its own."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cut_off = file.exists() and not file.read_bytes().endswith(b"\n") and file.stat().st_size > 0
    with file.open("a") as end:
        end.write("\n" * cut_off + json.dumps(record) + "\n")


def newest(records: list[Record]) -> dict[str, Record]:
    """Return the last record of each cell that was run."""
    return {record["cell"]: record for record in records}
