"""What a .gguf file holds, de-quantised, in a folder of transformers: written once, verified whenever it is read.

The folder has a manifest, and the size and the SHA-256 of the .gguf file it was made from. It is made anew, and that is
said, where either does not fit: it is damaged, or the .gguf file is another one now. It is whole or not there.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from pg_agents.errors import SavedFilesError
from pg_agents.folders import foreign, read, write
from pg_agents.manifest import MANIFEST, listed, read_json, sha256, verify
from pg_agents.shown import shown

SOURCE = "gguf-source.json"
WRITTEN = re.compile(  # what transformers writes for a model and a tokenizer
    r"(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json"
    r"|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json|merges\.txt|tokenizer\.model|chat_template\.jinja"
)


def cached(file: Path, folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder` with what `make` writes for the .gguf file `file`; it is called if that is not there already.

    Raises:
        ValueError: the folder holds something else.
        OSError: a file cannot be read or written.
    """
    source = {"bytes": file.stat().st_size, "sha256": sha256(file)}
    try:
        wrong = read(folder, lambda place: _difference(place, source))
        if wrong == "":
            return folder
        if wrong:
            warnings.warn(f"cache: {folder} is made anew from {file} ({wrong})", RuntimeWarning, stacklevel=2)
        write(folder, lambda fresh: _fill(fresh, source, make), _check)
    except SavedFilesError as error:
        raise ValueError(f"cache: {str(error).removeprefix('path: ')}") from error
    return folder


def _fill(folder: Path, source: dict[str, Any], make: Callable[[Path], None]) -> None:
    make(folder)
    (folder / SOURCE).write_text(json.dumps(source) + "\n", encoding="utf-8")


def _difference(folder: Path, source: dict[str, Any]) -> str | None:
    """Return why a cache cannot be used for a source; "" if it can, None if there is none."""
    _check(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        return None
    try:
        verify(folder)
        return "" if read_json(folder, SOURCE) == source else "the file is another one than it was made from"
    except SavedFilesError as error:
        return str(error)


def _check(folder: Path) -> None:
    """Raise SavedFilesError if `folder` is no folder, or holds anything that is not of a cache."""
    if folder.exists() and not folder.is_dir():
        raise SavedFilesError(f"{folder} exists and is no folder; give another")
    if folder.exists() and (name := foreign(folder, lambda: _ours(folder))):
        raise SavedFilesError(f"{folder} holds {shown(name)}, which is no cache; move it, or give another folder")


def _ours(folder: Path) -> set[str]:
    """Return the names of what a cache has: its manifest's, or where that is damaged, those that transformers gives."""
    with suppress(SavedFilesError):
        return listed(folder)
    names = {SOURCE, MANIFEST}
    if (folder / SOURCE).is_file() or (folder / MANIFEST).is_file():
        names |= {file.name for file in folder.iterdir() if WRITTEN.fullmatch(file.name)}
    return names
