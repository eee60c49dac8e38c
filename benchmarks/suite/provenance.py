"""Where a record comes from: the command as a reader can repeat it, the commit, the versions."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import pg_agents

PLACES = ("--peers", "--out", "--ray-address")  # options whose values are of one machine
CHANGES = "+changes"  # behind a commit from which files differ
PACKAGES = ("torch", "numpy", "gymnasium")
SIMULATORS = {"mujoco": "mujoco", "Box2D": "box2d"}  # module, which is imported where it plays → package


def commit(tree: Path = Path(__file__).parent) -> str:
    """Return the short hash of the checkout's commit, "+changes" behind it where files differ; "" where git has none.

    Args:
        tree: a folder of the checkout.
    """

    def git(*arguments: str) -> str:
        try:
            done = subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, check=False)
        except FileNotFoundError:  # it is not installed
            return ""
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", ":(top)*.py")
    return git("rev-parse", "--short=10", "HEAD") + (CHANGES if changed else "")


def typed(name: str, arguments: Sequence[str]) -> str:
    """Return the command of a benchmark as a reader can repeat it: without places of one machine."""
    kept, words = [], iter(arguments)
    for word in words:
        if word in PLACES:
            next(words, None)
        elif word.partition("=")[0] not in PLACES:
            kept.append(Path(word).name if Path(word).is_absolute() else word)
    return shlex.join(["python", "-m", "benchmarks", *name.split(), *kept])


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide results, of simulators those that were imported."""
    used = [package for module, package in SIMULATORS.items() if module in sys.modules]
    packages = {name: version(name) for name in (*PACKAGES, *used)}
    return {"python": platform.python_version(), **packages, "pg_agents": pg_agents.__version__}
