"""Results on disk: each says the command, the commit and the versions that it came from."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
PLACES = ("--peers", "--out")  # options whose values are folders


def commit(tree: Path = Path(__file__).parent) -> str:
    """Return the short hash of the checkout's commit, "+changes" behind it where files differ from it.

    Args:
        tree: a folder of the checkout.
    """

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=tree, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", ":(top)*.py")
    return git("rev-parse", "--short=10", "HEAD") + ("+changes" if changed else "")


def typed(name: str, arguments: Sequence[str]) -> str:
    """Return the command of a benchmark as a reader can repeat it: without places of one machine."""
    kept, words = [], iter(arguments)
    for word in words:
        if word in PLACES:
            next(words, None)
        elif word.partition("=")[0] not in PLACES:
            kept.append(word)
    return shlex.join(["python", "-m", "benchmarks", *name.split(), *kept])


def write(
    name: str, command: str, content: dict[str, Any], *, indent: int | None = None, folder: Path | None = None
) -> dict[str, Any]:
    """Write `name`.json whole or not at all, with command, commit and versions; return its contents.

    Args:
        name: of the file.
        command: what was typed.
        content: of the file; a "commit" of its own takes precedence.
        indent: spaces a level of the file; None: all on one line.
        folder: of the file; None: `RESULTS`.
    """
    folder = folder or RESULTS
    content = {"command": command, "commit": commit(), "torch": torch.__version__} | content
    folder.mkdir(parents=True, exist_ok=True)
    fresh = folder / f"{name}.new"
    fresh.write_text(json.dumps(content, indent=indent) + "\n")
    fresh.replace(folder / f"{name}.json")
    return content
