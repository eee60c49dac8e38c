"""`python -m benchmarks bits OLD NEW`: train with two commits and compare the results bit for bit.

Every agent in every family of problems, and with every option (see worker/cells.py), is trained for a few updates with
each commit, on one thread, from the same seeds. Compared are the parameters, the metrics of every update, the actions
that `act` gives before and after saving, and the returns of an evaluation. Where a commit changes the order of a sum,
`--dtype float64 --tolerance 1e-12` says that nothing else changed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.bits.compare import compare
from benchmarks.records import RESULTS, commit, typed, write

WORKER = Path(__file__).parent / "worker"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(prog="python -m benchmarks bits", description=__doc__)
    top.add_argument("old", help="a commit, or the folder of a checkout")
    top.add_argument("new", help="another")
    top.add_argument("--updates", type=int, default=3, help="about so many of each cell")
    top.add_argument("--only", default="", metavar="PATTERN", help="cells whose name holds this regular expression")
    top.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="of networks")
    top.add_argument("--tolerance", type=float, default=0.0, help="differences up to this count as none")
    top.add_argument("--output", type=Path, default=RESULTS / "bits.json", help="file of the result")
    return top


@contextmanager
def checkout(name: str) -> Iterator[Path]:
    """A context with a folder of the commit called `name`: that folder itself, or a worktree that is removed again."""
    if Path(name).is_dir():
        yield Path(name).resolve()
        return
    git = ["git", "-C", str(Path(__file__).parent), "worktree"]
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "add", "--quiet", "--detach", str(tree), name], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def start(tree: Path, out: Path, options: argparse.Namespace) -> subprocess.Popen:
    """Start the worker with the package in `tree`; it fills the folder `out`."""
    out.mkdir()
    fixed = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment = os.environ | fixed | {"PYTHONPATH": f"{tree}{os.pathsep}{tree / 'envs'}"}
    arguments = ["--updates", str(options.updates), "--only", options.only, "--dtype", options.dtype]
    return subprocess.Popen([sys.executable, str(WORKER), str(tree), str(out), *arguments], env=environment)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run both commits side by side and return the comparison; RuntimeError if a worker fails."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sides = [(stack.enter_context(checkout(name)), folder / side) for name, side in _sides(options)]
        commits = [commit(tree) for tree, _ in sides]
        workers = [start(tree, out, options) for tree, out in sides]
        codes = [worker.wait() for worker in workers]
        if any(codes):
            raise RuntimeError(f"the workers for {options.old} and {options.new} ended with {codes}")
        found = compare(folder / "old", folder / "new", options.tolerance)
    settings = {"updates": options.updates, "dtype": options.dtype, "tolerance": options.tolerance}
    return {"old": commits[0], "new": commits[1]} | settings | found


def _sides(options: argparse.Namespace) -> list[tuple[str, str]]:
    return [(options.old, "old"), (options.new, "new")]


def main(arguments: list[str]) -> int:
    """Run the command; return 1 if something differs, is missing in the new commit, or nothing was compared.

    A cell that only the new commit has, of an agent that is new, is printed and is no difference.
    """
    options = parser().parse_args(arguments)
    found = measure(options)
    command = typed("bits", arguments)
    write(options.output.stem, command, found, indent=1, folder=options.output.parent)
    print(
        f"{found['old']} and {found['new']}: {found['equal']} of {found['cells']} cells are equal "
        f"({found['trained']} trained, the others refused), largest difference {found['largest_difference']:.1e}"
    )
    for row in found["unequal"]:
        print(f"  {row}")
    for side in ("only_in_old", "only_in_new"):
        for name in found[side]:
            print(f"  {side}: {name}")
    return 0 if found["cells"] and found["equal"] == found["cells"] and not found["only_in_old"] else 1
