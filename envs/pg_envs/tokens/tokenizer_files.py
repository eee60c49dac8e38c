"""Tokenizers on disk: folders written by transformers, with or without a model."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

OURS: dict[str, Any] = {
    "local_files_only": True,
    "trust_remote_code": False,
}  # nothing is downloaded, no file runs code
CONFIGS = ("config.json", "generation_config.json")


class TokenizerFolder(NamedTuple):
    """A folder's tokenizer, its end-of-sequence ids and the size of its vocabulary.

    Attributes:
        tokenizer: a tokenizer of transformers.
        eos: all end-of-sequence ids that the tokenizer and the model in the same folder name, in ascending order.
        vocabulary: the number of rows of that model's embedding; None: the folder has no model.
    """

    tokenizer: Any
    eos: list[int]
    vocabulary: int | None


def read_tokenizer(folder: str | Path) -> TokenizerFolder:
    """Return the tokenizer in `folder`, with the ids and the vocabulary of a model in the same folder, if there is one.

    A .gguf file can be given too (needs the package gguf); it names one end-of-sequence id. Nothing is downloaded, and
    no file runs code.

    Raises:
        ImportError: transformers is not installed.
        ValueError: no such folder, no tokenizer in it, a tokenizer with its own code, or no end-of-sequence id.
    """
    path = Path(folder).expanduser()
    packed = path.suffix == ".gguf" and path.is_file()
    if not packed and not path.is_dir():
        raise ValueError(f"tokenizer: there is no folder {path}; give one with a tokenizer of transformers")
    try:
        transformers: Any = import_module("transformers")
    except ImportError as error:
        raise ImportError(f"tokenizer: reading {path} needs transformers: pip install transformers") from error
    try:
        source = (path.parent, path.name) if packed else (path, None)
        tokenizer = transformers.AutoTokenizer.from_pretrained(source[0], gguf_file=source[1], **OURS)
    except (ImportError, OSError, ValueError, KeyError, TypeError) as error:
        if "trust_remote_code" in str(error):
            raise ValueError(
                f"tokenizer: {path} has its own code, which is not run; if you trust it, load the tokenizer "
                "yourself with trust_remote_code=True and give that"
            ) from error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"tokenizer: {path} holds none that transformers can read ({reason})") from error
    model, generation = (_read(path / name) for name in CONFIGS)
    named = [tokenizer.eos_token_id, model.get("eos_token_id"), generation.get("eos_token_id")]
    eos = {int(i) for name in named if name is not None for i in (name if isinstance(name, list) else [name])}
    if not eos:
        raise ValueError(f"tokenizer: {path} names no end-of-sequence id; set eos_token_id in its {CONFIGS[1]}")
    return TokenizerFolder(tokenizer, sorted(eos), model.get("vocab_size"))


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.is_file() else {}
