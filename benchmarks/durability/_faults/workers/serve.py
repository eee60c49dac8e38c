"""What a side's script does: settings as JSON in, one line of JSON out."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from faults import Found, flip, full, kill, truncate
from trainings import resume, terminate

FAULTS: dict[str, Callable[..., Found]] = {
    "kill": kill,
    "flip": flip,
    "truncate": truncate,
    "full": full,
    "terminate": terminate,
    "resume": resume,
}


def serve(ways: dict[str, Callable[[bool], Any]], modules: list[ModuleType]) -> None:
    """Let the fault of the settings happen to the way of the settings, and print what was found.

    Args:
        ways: by name, a function that makes the way, of large things or of small ones.
        modules: those whose versions are told.
    """
    settings = json.loads(sys.argv[1])
    lines, sys.stdout = sys.stdout, sys.stderr  # libraries print
    torch.set_num_threads(1)
    fault = settings["fault"]
    try:
        way = ways[settings["way"]](fault == "kill")
    except NotImplementedError as error:
        found = {"not_run": str(error)}
    else:
        with tempfile.TemporaryDirectory() as folder:
            found = FAULTS[fault](way, Path(folder), settings["count"], settings["seed"])
    versions = {module.__name__: module.__version__ for module in [*modules, torch]}
    print(json.dumps(found | {"versions": versions}), file=lines)
