"""Loads models from disk without network access: a folder of transformers, or a GGUF file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pg_agents.llm.gguf_cache import cached
from pg_agents.llm.gguf_header import check_header, read_header
from pg_agents.llm.precision import in_precision
from pg_agents.shown import shown

INSTALL = "pip install 'pg-agents[llm]'"
WEIGHTS = ("*.safetensors", "*.bin")
ADAPTERS = "adapter_config.json"
OURS: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}  # nothing is fetched, no file runs code


def load_model(
    path: str | Path, *, cache: str | Path | None = None, dtype: torch.dtype = torch.float32
) -> tuple[Any, Any]:
    """Return a causal language model and its tokenizer; nothing is downloaded, and no file runs code.

    If a model or tokenizer brings code that you trust, load it yourself with trust_remote_code=True and pass it to
    `HuggingFacePolicy(model, tokenizer=tokenizer)`.

    Args:
        path: a folder written by transformers' `save_pretrained`, or a .gguf file.
        cache: a folder for the de-quantised content of a .gguf file: written by the first call, read by later ones,
            see `gguf_cache`; what of a damaged .gguf file can be seen, and what cannot, says `gguf_header`.
        dtype: the precision of the parameters.

    Raises:
        ImportError: transformers, gguf or accelerate is not installed.
        ValueError: there are no weights, a .gguf file is given without `cache`, the tokenizer has more ids than the
            model, there is no end-of-sequence id, the folder brings code, or it holds adapters.
    """
    path = model_folder(path, cache=cache)
    if not has_weights(path):
        raise ValueError(f"path: {path} is no folder with weights ({' or '.join(WEIGHTS)}) and no .gguf file")
    _without_adapters(path)
    transformers = _transformers()
    with without_bars(transformers), _readable(path):
        config = _configuration(transformers, path)
        model = transformers.AutoModelForCausalLM.from_pretrained(path, config=config, dtype=dtype, **OURS)
    tokenizer = _tokenizer(transformers, path)
    _check(path, model, tokenizer)
    return model, tokenizer


def has_weights(path: Path) -> bool:
    """Return whether a folder holds a model's parameters."""
    return path.is_dir() and any(found for pattern in WEIGHTS for found in path.glob(pattern))


def model_folder(path: str | Path, *, cache: str | Path | None = None) -> Path:
    """Return the folder of a model: `path` itself, or the folder that caches a .gguf file; see `load_model`."""
    path = Path(path).expanduser()
    if path.suffix != ".gguf":
        return path
    if cache is None:
        raise ValueError(f"cache: give a folder for the de-quantised weights of {path.name}")
    if not path.is_file():
        raise ValueError(f"path: there is no file {path}")
    return cached(path, Path(cache).expanduser(), lambda folder: _from_gguf(path, folder))


def new_model(folder: str | Path, *, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Return a causal language model of the architecture in `folder`, with new weights, and the tokenizer or None.

    Args:
        folder: with its config.json.
        dtype: the precision of the parameters, which are drawn in float32.

    Raises:
        ImportError: transformers, gguf or accelerate is not installed.
        ValueError: there is no config.json, the folder brings code, or the tokenizer has more ids than the model.
    """
    folder = Path(folder).expanduser()
    if not (folder / "config.json").is_file():
        raise ValueError(f"path: {folder} holds no config.json of a language model")
    transformers = _transformers()
    with _readable(folder):
        config = _configuration(transformers, folder)
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32, trust_remote_code=False)
    model = in_precision(model, dtype)
    if (folder / "generation_config.json").is_file():
        model.generation_config = transformers.GenerationConfig.from_pretrained(folder, local_files_only=True)
    if not (folder / "tokenizer_config.json").is_file():
        return model, None
    tokenizer = _tokenizer(transformers, folder)
    _check(folder, model, tokenizer)
    return model, tokenizer


def _configuration(transformers: Any, folder: Path) -> Any:  # noqa: ANN401
    """Return a folder's configuration without its choice of attention kernels, which could be anyone's code."""
    config = transformers.AutoConfig.from_pretrained(folder, **OURS)
    config._attn_implementation = config._experts_implementation = None
    return config


def _tokenizer(transformers: Any, folder: Path) -> Any:  # noqa: ANN401
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, **OURS)
    except (OSError, ValueError, KeyError) as error:
        _without_code(folder, error)
        raise ValueError(f"path: {folder} holds no tokenizer that transformers can read") from error


def _without_code(path: Path, error: Exception) -> None:
    """Raise ValueError if transformers refuses a folder because it would have to run the folder's code."""
    if "trust_remote_code" in str(error):
        raise ValueError(
            f"path: {path} has its own code, which is not run; if you trust it, load model and tokenizer "
            "yourself with trust_remote_code=True and pass HuggingFacePolicy(model, tokenizer=tokenizer)"
        ) from error


def _without_adapters(folder: Path) -> None:
    """Raise ValueError if a folder holds adapters, as reading it would read their base model from elsewhere."""
    if (folder / ADAPTERS).is_file():
        raise ValueError(
            f"path: {folder} holds adapters ({ADAPTERS}), with or without a model; merge them into the model "
            "(merge_and_unload of peft), save it and give that folder"
        )


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """A context in which transformers' errors about damaged or unknown models become a ValueError of one line."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:  # any kind: damaged files end in all of them
        _without_code(path, error)
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"path: transformers cannot read the model in {path} ({reason})") from error


@contextmanager
def without_bars(transformers: Any) -> Iterator[None]:  # noqa: ANN401
    """A context in which transformers draws no progress bars."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


def _check(path: Path, model: Any, tokenizer: Any) -> None:  # noqa: ANN401
    """Raise ValueError unless a model and its tokenizer belong together and can end a text."""
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise ValueError(
            f"path: {path}: its tokenizer has {len(tokenizer)} ids, its model {rows}; use the model's own tokenizer"
        )
    if not end_ids(model, tokenizer):
        raise ValueError(f"path: {path} names no eos_token_id; set one in its generation_config.json")


def end_ids(model: Any, tokenizer: Any) -> tuple[int, ...]:  # noqa: ANN401
    """Return all end-of-sequence ids of a model and its tokenizer, if it has one, in ascending order."""
    named = [getattr(tokenizer, "eos_token_id", None), model.config.eos_token_id, model.generation_config.eos_token_id]
    ids = {i for name in named if name is not None for i in (name if isinstance(name, list | tuple) else [name])}
    return tuple(sorted(ids))


def _from_gguf(file: Path, folder: Path) -> None:
    """Write the model and the tokenizer of a .gguf file to `folder`, if nothing in the file contradicts itself."""
    _without_adapters(file.parent)
    transformers = _transformers()
    source = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name, **OURS}
    dense = transformers.GgufConfig(dequantize=True)
    with without_bars(transformers), _readable(file):
        check_header(read_header(file))
        tokenizer = transformers.AutoTokenizer.from_pretrained(**source)
        model, found = transformers.AutoModelForCausalLM.from_pretrained(
            **source, quantization_config=dense, dtype=torch.float32, output_loading_info=True
        )
        _check_complete(model, found)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _check_complete(model: Any, found: dict[str, Any]) -> None:  # noqa: ANN401
    """Raise ValueError if a model lacks parameters, or the file had more than the model, or one is not finite."""
    for what in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if names := sorted(map(str, found.get(what, ()))):
            raise ValueError(f"{what.replace('_', ' ')}: {shown(names[0])}")
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise ValueError(f"{shown(name)} is not finite")


def _transformers() -> Any:  # noqa: ANN401
    try:
        import accelerate  # noqa: F401 - transformers reads .gguf files with these two
        import gguf  # noqa: F401
        import transformers
    except ImportError as error:
        raise ImportError(f"language models need transformers, gguf and accelerate: {INSTALL}") from error
    return transformers
