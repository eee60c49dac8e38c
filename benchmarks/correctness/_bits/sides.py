"""Processes that train with the packages of one state of the code; each lives as long as the process that asks it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[3]
FIXED = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


class Side:
    """A worker that trains what it is asked for.

    Args:
        tree: the folder with the packages.
        dtype: of networks.
    """

    def __init__(self, tree: Path, dtype: str) -> None:
        paths = [str(tree), str(tree / "envs"), str(ROOT)]  # the last for the worker itself
        environment = os.environ | FIXED | {"PYTHONPATH": os.pathsep.join(paths)}
        command = [sys.executable, "-P", "-m", "benchmarks.correctness._bits.worker", str(tree), dtype]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True, env=environment
        )

    def ask(self, out: Path, agent: str, family: str, updates: int) -> None:
        """Let it train an agent in a family, with every option, and write what comes of it to a folder."""
        assert self.process.stdin is not None
        out.mkdir()
        asked = {"out": str(out), "agent": agent, "family": family, "updates": updates}
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()

    def wait(self) -> None:
        """Wait until it has done what it was asked for.

        Raises:
            RuntimeError: it has ended; the message holds the end of what it wrote.
        """
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            code = self.process.wait()
            side.cache_clear()
            self.errors.seek(0)
            raise RuntimeError(f"a side of bits ended with {code}: {self.errors.read()[-2000:]}")


@cache
def side(tree: Path, dtype: str, name: str) -> Side:
    """Return the worker called `name` of a folder with packages: two of them may be of the same folder."""
    return Side(tree, dtype)
