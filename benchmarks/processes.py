"""Workers: programs in processes of their own, with settings as JSON in and one line of JSON out."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def python_of(peers: Path) -> str:
    """Return the Python of the peers' virtual environment.

    Raises:
        FileNotFoundError: there is none.
    """
    python = peers / "bin" / "python"
    if not python.exists():
        raise FileNotFoundError(f"no Python in {peers}: make it with `python -m benchmarks peers install`")
    return str(python.absolute())


def answer(
    command: Sequence[str], settings: Mapping[str, Any], variables: Mapping[str, str], *, name: str, timeout: float
) -> dict[str, Any]:
    """Run a worker in an empty folder, in which libraries may write what they like, and return what it answers.

    Args:
        command: what is run; the settings are added as its last argument.
        settings: of the worker.
        variables: of its environment, in addition to ours.
        name: of the worker, for the error.
        timeout: seconds.

    Raises:
        RuntimeError: it failed; the message is the last line that it wrote, and the end of all that it wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [*command, json.dumps(settings)],
            capture_output=True,
            text=True,
            cwd=folder,
            env=os.environ | dict(variables),
            timeout=timeout,
        )
    if done.returncode:
        *_, last = ["", *done.stderr.strip().splitlines()]
        raise RuntimeError(f"{name} failed: {last or f'exit code {done.returncode}'}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
