"""An agent as files: JSON and safetensors, nothing that could run code when it is read."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from pg_agents.errors import SavedAgentError, SavedFilesError
from pg_agents.folders import foreign, write
from pg_agents.manifest import LARGEST_JSON, MANIFEST, check_tensors, listed, read_json, verify
from pg_agents.schedules import LinearSchedule
from pg_agents.shown import shown
from pg_agents.spaces.conversion import space_to_json
from pg_agents.tensor_files import write_tensors

FORMAT = 1
FILES = ("agent.json", "agent.safetensors")
MODEL = "model"  # the folder with the policy's further files, of a language model


def write_agent(
    path: Path,
    description: dict[str, Any],
    spaces: tuple[Any, Any] | None,
    agent: nn.Module,
    write_model: Callable[[Path], None],
) -> None:
    """Write a folder with an agent; an existing one is replaced only when the new one is complete.

    Parameters that are not finite are written too, with a warning, so that they can be examined.

    Args:
        path: the folder.
        description: the agent's name, arguments and networks, which JSON or `plain` can write.
        spaces: the observation and action space of one environment; None: the agent was made of the user's networks.
        agent: the module whose parameters and buffers are written.
        write_model: writes the policy's further files to a folder.

    Raises:
        SavedAgentError: the path holds something other than a saved agent.
    """
    if wrong := not_finite(agent):
        warnings.warn(
            f"path: {wrong} is not finite: what is saved to {path} will not load", RuntimeWarning, stacklevel=3
        )
    made_for = None if spaces is None else [space_to_json(space) for space in spaces]

    def fill(folder: Path) -> dict[str, str]:
        tensors, tied = _once(agent)
        hashed = {FILES[1]: write_tensors(folder / FILES[1], tensors)}
        write_model(folder / MODEL)
        files = {file.relative_to(folder).as_posix() for file in folder.rglob("*")} | {*FILES, MANIFEST}
        complete = {"format": FORMAT} | description | {"spaces": made_for, "files": sorted(files)}
        complete |= {"tied": tied} if tied else {}
        text = json.dumps(complete, indent=2, default=plain) + "\n"
        if len(text.encode()) > LARGEST_JSON:
            raise SavedAgentError(f"path: the agent's description has {len(text)} characters, more than {LARGEST_JSON}")
        (folder / FILES[0]).write_text(text, encoding="utf-8")
        return hashed

    write(path, fill, _check_replaceable)


def _once(agent: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return an agent's parameters and buffers by their names, each once, and for all further names of one its first.

    Embeddings that are a language model's head, too, have two names.
    """
    tensors: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    first: dict[int, str] = {}
    for name, tensor in _saved(agent):
        if (known := first.setdefault(id(tensor), name)) == name:
            tensors[name] = tensor
        else:
            tied[name] = known
    return tensors, tied


def _saved(agent: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield what `state_dict` has, by all names; of parameters that are shared out it would have one's own rows."""
    yield from agent.named_parameters(remove_duplicate=False)
    for place, module in agent.named_modules(remove_duplicate=False):
        for name, buffer in module._buffers.items():
            if buffer is not None and name not in module._non_persistent_buffers_set:
                yield f"{place}.{name}" if place else name, buffer


def untied(tensors: dict[str, Tensor], description: dict[str, Any]) -> dict[str, Tensor]:
    """Return what `write_agent` wrote, with the parameters of several names under each of them."""
    return tensors | {name: tensors[known] for name, known in description.get("tied", {}).items()}


def _check_replaceable(path: Path) -> None:
    """Raise SavedAgentError if `path` holds any file other than those its agent.json or its manifest lists."""
    refusal = f"path: {path} exists and is not the folder of a saved agent"
    if path.exists() and not path.is_dir():
        raise SavedAgentError(f"{refusal}; give another")
    if path.exists() and (name := foreign(path, lambda: _written(path))):
        raise SavedAgentError(f"{refusal} alone ({shown(name)} is not of one); move it, or give another folder")


def _written(path: Path) -> set[str]:
    """Return the names of what a save wrote to `path`; SavedFilesError where nothing there tells."""
    if (path / MANIFEST).is_file():
        with suppress(SavedFilesError):
            return listed(path)
    description = read_description(path)
    try:
        return {*FILES, *description.get("files", FILES)}  # an earlier version wrote no list
    except TypeError as error:
        raise damaged(path, error) from error


def verify_agent(path: Path) -> dict[str, Any]:
    """Return the contents of agent.json; all files are compared with the manifest, if the version that saved wrote one.

    Raises:
        SavedAgentError: a file is missing, damaged, or of another format.
    """
    try:
        if (path / MANIFEST).exists():
            verify(path)
        description = read_description(path)
        files = description.get("files")
        if isinstance(files, list) and MANIFEST in files and not (path / MANIFEST).exists():
            raise SavedFilesError(f"{MANIFEST} is missing")
        check_tensors(path, FILES[1])
    except SavedAgentError:
        raise
    except SavedFilesError as error:
        raise damaged(path, error) from error
    return description


KINDS: dict[str, type | tuple[type, ...]] = {
    "format": int, "agent": str, "arguments": dict, "networks": dict, "spaces": (list, type(None)),
}  # fmt: skip


def read_description(path: Path) -> dict[str, Any]:
    """Return the contents of agent.json in the folder `path`.

    Raises:
        SavedAgentError: the file is missing, damaged, or of another format.
    """
    try:
        description = read_json(path, FILES[0])
        wrong = [key for key, kind in KINDS.items() if not isinstance(description[key], kind)]
    except (LookupError, TypeError, SavedFilesError) as error:
        raise damaged(path, error) from error
    if wrong:
        raise damaged(path, TypeError(f"{wrong[0]}: {shown(description[wrong[0]], 80)}"))
    if description["format"] != FORMAT:
        found = shown(description["format"], 80)
        raise SavedAgentError(f"path: {path} is of format {found}, this version reads {FORMAT}")
    return description


def damaged(path: Path, error: Exception) -> SavedAgentError:
    """Return the error for a folder whose files are damaged."""
    reason = str(error) if isinstance(error, SavedFilesError) else shown(error, 400)
    return SavedAgentError(f"path: the agent saved in {path} is damaged ({reason})")


def plain(value: Any) -> Any:  # noqa: ANN401
    """Return a schedule, or a number or an array of numpy or torch, in a form that JSON can write.

    Raises:
        TypeError: any other value.
    """
    if isinstance(value, LinearSchedule):
        return str(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be written as JSON")


def not_finite(module: nn.Module) -> str | None:
    """Return the name of the first parameter with an entry that is NaN or infinite."""
    return next((name for name, value in module.named_parameters() if not value.isfinite().all()), None)
