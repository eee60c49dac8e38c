"""Language models as folders that transformers, peft and vLLM read.

Whole, with adapters merged into the model's own parameters:

    config.json               the architecture
    model.safetensors         the parameters, tied ones once; a large model's in several files, with an index
    generation_config.json    how the policy samples, and its ends of text
    tokenizer.json, …         the tokenizer, if the policy has one

Apart, of a model with adapters:

    adapter_config.json, adapter_model.safetensors    peft's, with the base model's folder
    tokenizer.json, …                                 the tokenizer

Either has a manifest.json beside them, with the size and the SHA-256 of each file, and is whole or not there.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from pg_agents.errors import SavedFilesError
from pg_agents.folders import check_ours, write
from pg_agents.llm.loading import end_ids, has_weights, without_bars
from pg_agents.shown import shown
from pg_agents.tensor_files import write_tensors

Adapters = Literal["merged", "apart"]
CONFIG, ADAPTER_CONFIG, ADAPTER_WEIGHTS = "config.json", "adapter_config.json", "adapter_model.safetensors"


def save_pretrained(
    policy: Any,  # noqa: ANN401
    path: str | Path,
    *,
    adapters: Adapters = "merged",
    base: str | Path | None = None,
) -> None:
    """Write a language model that was trained to the folder `path`, in the form of transformers or of peft.

    Args:
        policy: a `HuggingFacePolicy`.
        path: a new or empty folder, or one that this function wrote, which is replaced when the new one is complete.
        adapters: of a model with adapters, "merged": a model without them that computes the same; "apart": adapters
            alone, which peft and vLLM put on the base model.
        base: what adapters that are apart name as their base model, a folder or a name on the Hub; None: the folder
            from which the model was loaded.

    Raises:
        ValueError: `adapters` is neither, or "apart" for a model without adapters or one that learned besides them.
        SavedFilesError: the path holds anything else.
        NotSavedError: the files cannot be written; what was there before is as it was.
    """
    if adapters not in ("merged", "apart"):
        raise ValueError(f'adapters must be "merged" or "apart", got {shown(adapters)}')
    if adapters == "merged" and base is not None:
        raise ValueError(f'base: {shown(base)} is only for adapters="apart"; leave it out')
    if adapters == "apart":
        _check_apart(policy.model)
        named = _base_of(policy.model, base)

    def fill(folder: Path) -> dict[str, str]:
        if policy.tokenizer is not None:
            policy.tokenizer.save_pretrained(folder)
        return _write_apart(policy, folder, named) if adapters == "apart" else _write_merged(policy, folder)

    write(Path(path), fill, _check_replaceable)


def _check_replaceable(path: Path) -> None:
    """Raise SavedFilesError unless a folder is new, empty, or a model or adapters as `save_pretrained` writes them."""
    check_ours(path)
    ours = (path / CONFIG).is_file() or (path / ADAPTER_CONFIG).is_file()
    if path.exists() and any(path.iterdir()) and not ours:
        raise SavedFilesError(f"path: {path} holds what another save wrote; give another folder")


def _check_apart(model: Any) -> None:  # noqa: ANN401
    """Raise ValueError unless a model has adapters, and nothing else that learned."""
    if not hasattr(model, "peft_config"):
        raise ValueError('adapters: "apart" is for a model with adapters (lora=…), this one has none; leave it out')
    prefix = getattr(model.base_model, "prefix", "lora_")
    learned = (name for name, parameter in model.named_parameters() if parameter.requires_grad)
    if (other := next((name for name in learned if prefix not in name), None)) is not None:
        raise ValueError(f'adapters: {shown(other)} learned, too, which is no adapter; save with adapters="merged"')


def _write_merged(policy: Any, folder: Path) -> dict[str, str]:  # noqa: ANN401
    """Write a model, with adapters merged into it; no file's SHA-256 is known yet."""
    import transformers

    model = merged(policy.model) if hasattr(policy.model, "peft_config") else policy.model
    with without_bars(transformers), _generating_as(policy, model):
        model.save_pretrained(folder)
    return {}


def merged(model: Any) -> Any:  # noqa: ANN401
    """Return a copy of a model with adapters, on the processor, in which they are merged into the model's parameters.

        W ← W + (α / r) B A

    is computed in float32 and rounded once, to the precision of W. The model itself is left as it is.
    """
    places = {}
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            copied = tensor.detach().to("cpu", copy=True)
            places[id(tensor)] = nn.Parameter(copied, False) if isinstance(tensor, nn.Parameter) else copied
        whole = copy.deepcopy(model, dict(places))
        kinds = {}
        for parameter in whole.parameters():
            kinds[parameter] = parameter.dtype
            parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
        whole = whole.merge_and_unload()
        for parameter in whole.parameters():
            parameter.data = parameter.data.to(kinds[parameter])
    return whole


@contextmanager
def _generating_as(policy: Any, model: Any) -> Iterator[None]:  # noqa: ANN401
    """A context in which a model's generation configuration samples as the policy does, and ends texts where it can."""
    before, sampling, rows = model.generation_config, policy.sampling, model.get_output_embeddings().weight.shape[0]
    how: dict[str, Any] = {name: getattr(before, name) for name in ("bos_token_id", "pad_token_id")}
    how |= {"do_sample": True, "temperature": float(sampling.temperature)}
    how |= {"top_k": sampling.top_k or 0, "top_p": sampling.top_p or 1.0}
    if ends := end_ids(model, policy.tokenizer):
        how["eos_token_id"] = list(ends) if len(ends) > 1 else ends[0]
    if policy.vocabulary is not None and policy.vocabulary < rows:
        how["suppress_tokens"] = [*range(policy.vocabulary, rows)]
    model.generation_config = type(before)(**how)
    try:
        yield
    finally:
        model.generation_config = before


def _write_apart(policy: Any, folder: Path, base: str) -> dict[str, str]:  # noqa: ANN401
    """Write a model's adapters as peft does, and return the SHA-256 of their file."""
    from peft import get_peft_model_state_dict

    model = policy.model
    name = model.active_adapter
    config = copy.deepcopy(model.peft_config[name])
    config.inference_mode, config.base_model_name_or_path = True, base
    config.save_pretrained(folder)
    tensors = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    return {ADAPTER_WEIGHTS: write_tensors(folder / ADAPTER_WEIGHTS, tensors)}


def _base_of(model: Any, given: str | Path | None) -> str:  # noqa: ANN401
    """Return the base model that adapters name: a folder that has weights, with its whole path, or a name of the Hub.

    Raises:
        ValueError: it is not known, or the folder has no weights.
    """
    found = given or getattr(model.get_base_model(), "name_or_path", None)
    if not found:
        raise ValueError('base: the folder of the base model is not known; give it, or save with adapters="merged"')
    folder = Path(found).expanduser()
    if folder.is_dir() and not has_weights(folder):
        raise ValueError(
            f'base: {folder} holds no weights; give the folder of the base model, or save with adapters="merged"'
        )
    if given is None and folder.is_absolute() and not folder.is_dir():
        raise ValueError(f"base: there is no folder {folder}, from which the model was loaded; give where it is now")
    return str(folder.resolve()) if folder.is_dir() else str(found)
