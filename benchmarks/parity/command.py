"""`python -m benchmarks parity`: compare every cell with its peer, print the differences and write them to results."""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.parity.cells import CELLS
from benchmarks.parity.compare import run
from benchmarks.parity.table import is_right, table
from benchmarks.peers.machine import PEERS
from benchmarks.records import RESULTS, commit, typed


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks parity", description=__doc__)
    top.add_argument("words", nargs="*", help="only cells whose name or peer holds one of these")
    top.add_argument("--seeds", type=int, default=2, help="0, 1, … of each cell")
    top.add_argument("--workers", type=int, default=2, help="cells that are run at once")
    top.add_argument("--peers", type=Path, default=PEERS, help="folder of the peers' virtual environment")
    top.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    return top


def main(arguments: list[str]) -> int:
    """Run the command; return 1 if a cell does not agree, or differ, as it should."""
    options = parser().parse_args(arguments)
    words = options.words
    cells = [cell for cell in CELLS if not words or any(word in f"{cell.peer} {cell.name}" for word in words)]
    jobs = [(cell, seed, options.peers) for cell in cells for seed in range(options.seeds)]
    records = []
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        for record in pool.map(run, *zip(*jobs, strict=True)):
            records.append(record)
            differences = "  ".join(f"{what} {value:.1e}" for what, value in record["differences"].items())
            verdict = "" if is_right(record) else "  NOT AS IT SHOULD BE"
            print(f"{record['peer']:18} {record['name']:56} seed {record['seed']}  {differences}{verdict}", flush=True)
    command = typed("parity", arguments)
    content = {"command": command, "commit": commit(), "records": records}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "parity.json").write_text(json.dumps(content) + "\n")
    (options.out / "parity.md").write_text(table(records))
    return 0 if all(map(is_right, records)) else 1
