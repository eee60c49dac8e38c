"""Runs one cell in its side's Python."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from benchmarks.durability._faults.cells import Cell
from benchmarks.peers import PEERS
from benchmarks.processes import answer, python_of

ROOT = Path(__file__).parents[3]
WORKERS = Path(__file__).parent / "workers"
TIMEOUT = 4 * 3600.0  # seconds for one cell


def found_in(cell: Cell, seed: int, peers: Path = PEERS) -> dict[str, Any]:
    """Return what was found in a cell.

    Raises:
        NotImplementedError: the library does not have what would fail.
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
    settings = {"fault": cell.fault, "way": cell.way, "count": cell.count, "seed": seed}
    found = answer([python, "-P", script], settings, variables, name=cell.name, timeout=TIMEOUT)
    if "not_run" in found:
        raise NotImplementedError(found["not_run"])
    return found
