"""One cell: our agent learns and is recorded, the peer learns from the record, and the results are compared."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.correctness._parity.cells import UPDATES, Cell
from benchmarks.correctness._parity.ours import Arrays, play
from benchmarks.correctness._parity.tasks import LLAMA
from benchmarks.peers import PEERS
from benchmarks.processes import answer, python_of
from benchmarks.speed._sides.running import TIMEOUT, threads_of

DIFFERENCES = ("advantages", "gradients", "weights")
LIMIT = 5e-4  # beside its own array, a larger difference is not of rounding; n − 1 of 256 steps makes one of 2e-3
WORKERS = {"Stable-Baselines3": "parity_sb3.py", "sb3-contrib": "parity_sb3.py", "TRL": "parity_trl.py"}


def compare(cell: Cell, seed: int, peers: Path = PEERS) -> dict[str, Any]:
    """Return the largest differences, how large the compared numbers are, and the versions of both sides."""
    record, ours = play(cell, seed)
    settings = {"algorithm": cell.algorithm, "arguments": cell.theirs, "updates": UPDATES}
    settings |= {"model": LLAMA, "threads": 1, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        places = {"record": f"{folder}/record.npz", "result": f"{folder}/result.npz"}
        np.savez(places["record"], **record)  # type: ignore[arg-type]
        command = [python_of(peers), "-P", str(Path(__file__).parent / "workers" / WORKERS[cell.peer])]
        said = answer(command, settings | places, threads_of(1), name=cell.peer, timeout=TIMEOUT)
        with np.load(places["result"], allow_pickle=False) as file:
            theirs = dict(file)
    return hold(ours, theirs, record) | {"versions": said["versions"] | {"ours": torch.__version__}}


def hold(ours: Arrays, theirs: Arrays, record: Arrays) -> dict[str, Any]:
    """Return the largest difference of advantages, gradients and weights, and how large it is beside its own array.

    An array is what there is of one parameter, in every step; "moved" is how far weights have moved from where both
    sides began, which is also what their differences are held beside.

    Raises:
        ValueError: the sides do not have the same arrays.
    """
    differences, parts, moved = {}, {}, 0.0
    for what in DIFFERENCES:
        mine, other = ({n: a for n, a in side.items() if n.partition("/")[0] == what} for side in (ours, theirs))
        if not mine or {n: a.shape for n, a in mine.items()} != {n: a.shape for n, a in other.items()}:
            raise ValueError(f"{what}: ours are {shapes(mine)}, the peer's {shapes(other)}")
        apart = {name: largest(mine[name] - other[name]) for name in mine}
        begun = {name: record["initial/" + name.partition("/")[2]] if what == "weights" else 0.0 for name in mine}
        sizes = {name: largest(mine[name] - begun[name]) for name in mine}
        differences[what] = max(apart.values())
        parts[what] = max(apart[name] / sizes[name] if sizes[name] else apart[name] and np.inf for name in mine)
        moved = max(sizes.values())
    return {"differences": differences, "parts": parts, "moved": moved}


def largest(array: Any) -> float:  # noqa: ANN401
    """Return the largest absolute value; ∞ where something is not a number."""
    found = float(np.abs(array).max())
    return found if np.isfinite(found) else np.inf


def shapes(arrays: Arrays) -> str:
    """Return names and shapes, for a message."""
    return ", ".join(f"{name} {list(array.shape)}" for name, array in sorted(arrays.items()))
