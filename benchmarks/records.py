"""Results on disk: each says the command, the commit and the versions that it came from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from benchmarks.suite.provenance import commit, typed

__all__ = ["RESULTS", "commit", "typed", "write"]

RESULTS = Path(__file__).parent / "results"


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
