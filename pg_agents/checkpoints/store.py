"""Checkpoints on disk: a folder each, in a run's folder of checkpoints, of which the newest are kept.

    start/                        the agent when the run began: its options, networks, frozen parameters
    step-000000012000/            a checkpoint: the run after so many steps
        networks.safetensors      parameters and buffers
        optimizer.safetensors     the optimizer's moments and counts
        state.safetensors         other arrays
        state.json                everything else, with the versions that wrote it
        manifest.json             sizes and SHA-256

Each is whole or not there (`folders.write`), and compared with its manifest before anything in it is used.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.numpy
import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from pg_agents.agents.base import Agent
from pg_agents.agents.common.files import FILES as AGENT_FILES
from pg_agents.checkpoints.agent_state import AgentState
from pg_agents.checkpoints.machine import machine
from pg_agents.data.state import State, from_arrays_and_json, to_arrays_and_json
from pg_agents.errors import SavedFilesError
from pg_agents.folders import check_ours, write
from pg_agents.manifest import MANIFEST, check_tensors, read_json, verify
from pg_agents.shown import shown
from pg_agents.tensor_files import write_tensors

FORMAT = 1
START = "start"
NETWORKS, MOMENTS, ARRAYS, REST = "networks.safetensors", "optimizer.safetensors", "state.safetensors", "state.json"
NAME = re.compile(r"step-(\d{12})")


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        steps: valid transitions learned from before it.
        agent: the agent's state.
        run: the run's state.
        machine: what wrote it (see `machine`).
        start: SHA-256 of the manifest of the agent with which the run began.
    """

    steps: int
    agent: AgentState
    run: State
    machine: dict[str, Any]
    start: str


def write_start(folder: Path, agent: Agent) -> str:
    """Save the agent with which a run begins in a run's folder of checkpoints; return its manifest's SHA-256."""
    agent.save(folder / START)
    return _digest((folder / START / MANIFEST).read_bytes())


def read_start(folder: Path, digest: str) -> dict[str, Tensor]:
    """Return the parameters of the agent with which a run began.

    Raises:
        SavedFilesError: they are missing or damaged, or another run's.
    """
    path = folder / START
    try:
        if _digest(verify(path)) != digest:
            raise SavedFilesError("it is another run's")
        check_tensors(path, AGENT_FILES[1])
        return safetensors.torch.load_file(path / AGENT_FILES[1])
    except SavedFilesError as error:
        raise SavedFilesError(f"path: the agent in {path} is damaged ({error})") from error


def write_checkpoint(folder: Path, steps: int, agent: AgentState, run: State, start: str) -> Path:
    """Write a checkpoint into a run's folder of checkpoints; return its own folder.

    Raises:
        ValueError: a part of the run's state cannot be written; the message says which.
        OSError: the disk is full, read-only or gone; the checkpoints before are as they were.
    """
    arrays, values = to_arrays_and_json({"agent": agent.rest, "run": run})
    head = {"format": FORMAT, "steps": steps, "start": start, "machine": machine()}
    text = json.dumps({**head, "state": values}, allow_nan=False)

    def fill(path: Path) -> dict[str, str]:
        safetensors.numpy.save_file(arrays, path / ARRAYS)
        (path / REST).write_text(text + "\n", encoding="utf-8")
        tensors = {NETWORKS: agent.networks, MOMENTS: agent.moments}
        return {name: write_tensors(path / name, some) for name, some in tensors.items()}

    path = folder / f"step-{steps:012d}"
    write(path, fill)
    return path


def read_checkpoint(path: Path) -> Checkpoint:
    """Return a checkpoint, after comparing its files with its manifest.

    Raises:
        SavedFilesError: it is missing, damaged, or of a later version.
    """
    try:
        return _read(path)
    except SavedFilesError as error:
        raise SavedFilesError(f"path: the checkpoint {path} is damaged ({error})") from error


def _read(path: Path) -> Checkpoint:
    verify(path)
    values = read_json(path, REST)
    if not isinstance(values, dict) or not isinstance(values.get("format"), int):
        raise SavedFilesError(f"{REST} is not as it was written")
    if values["format"] != FORMAT:
        raise SavedFilesError(f"it is of format {values['format']}, this version reads {FORMAT}; update pg-agents")
    for name in (NETWORKS, MOMENTS, ARRAYS):
        check_tensors(path, name)
    try:
        networks, moments = (safetensors.torch.load_file(path / name) for name in (NETWORKS, MOMENTS))
        state = from_arrays_and_json(safetensors.numpy.load_file(path / ARRAYS), values["state"])
        agent = AgentState(networks, moments, state["agent"])
        return Checkpoint(values["steps"], agent, state["run"], values["machine"], values["start"])
    except (LookupError, TypeError, ValueError, OSError, SafetensorError) as error:
        raise SavedFilesError(f"it is not as it was written: {shown(error)}") from error


def newest_good(folder: Path) -> tuple[Checkpoint | None, list[str]]:
    """Return the newest checkpoint that is not damaged, and what is wrong with those that are newer."""
    wrong: list[str] = []
    for path in reversed(list(checkpoints_in(folder))):
        try:
            return read_checkpoint(path), wrong
        except SavedFilesError as error:
            wrong.append(str(error))
    return None, wrong


def checkpoints_in(folder: Path) -> Iterator[Path]:
    """Yield the folders of a run's checkpoints, the oldest first."""
    if folder.is_dir():
        yield from sorted(path for path in folder.iterdir() if NAME.fullmatch(path.name))


def keep_newest(newest: Path, count: int) -> None:
    """Delete the checkpoints before `newest` of which it and `count` - 1 others are newer.

    Those of later steps are damaged, since the run goes on from one before them: they are not counted. One that holds
    anything else than a checkpoint is left alone.
    """
    for path in [path for path in checkpoints_in(newest.parent) if path.name <= newest.name][:-count]:
        with suppress(SavedFilesError):
            check_ours(path)
            shutil.rmtree(path, ignore_errors=True)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
