"""Language models as they are asked for by name: "hf:PATH" → a policy and a critic for a token environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from zlib import crc32

import gymnasium as gym
import torch

from pg_agents.errors import UnsupportedSpaceError, UserError
from pg_agents.llm.huggingface import HuggingFacePolicy
from pg_agents.llm.huggingface_critic import HuggingFaceCritic
from pg_agents.llm.language_config import LanguageConfig
from pg_agents.llm.loading import has_weights, load_model, model_folder, new_model
from pg_agents.llm.lora import with_lora
from pg_agents.llm.reach import limit
from pg_agents.policies.make_networks import check_action_values, is_token_window
from pg_agents.policies.policy import Policy

PRETRAINED, ARCHITECTURE = "hf:", "hf-config:"  # with the weights of the folder; with new ones
CACHE = Path("~/.cache/pg-agents")  # of what .gguf files hold, de-quantised


def language_networks(
    observation_space: gym.Space,
    action_space: gym.Space,
    *,
    critic: bool,
    action_values: bool = False,
    config: LanguageConfig | None = None,
    **options: Any,  # noqa: ANN401
) -> tuple[HuggingFacePolicy, HuggingFaceCritic | None]:
    """Return a language model as a policy and, if `critic`, a copy of it as a critic, for windows of tokens.

    Where the environment has fewer tokens than the model, the first so many of the model's are what it chooses among.

    Args:
        observation_space: of one environment.
        action_space: of one environment.
        critic: whether to make one.
        action_values: Q(s,·) instead of V(s), which no language model gives.
        config: the model and its options; None: all of them are among `options`.
        **options: options that are to be different.

    Raises:
        ImportError: transformers, or peft for `lora`, is not installed.
        UnsupportedSpaceError: no windows of tokens, or more tokens or longer ones than the model knows.
        ValueError: no model in the folder, or an option out of range.
    """
    config = LanguageConfig(**options) if config is None else config.replace(**options)
    policy, lora = config.policy, config.lora
    if not is_token_window(observation_space, action_space):
        raise UnsupportedSpaceError(f"policy={policy!r} reads windows of tokens, got {observation_space}")
    if critic and action_values:
        check_action_values(observation_space, action_space)
    model, tokenizer = _read(policy, getattr(torch, config.dtype))
    tokens, window = int(action_space.n), int(observation_space["length"].n) - 1  # type: ignore[attr-defined]
    _check_sizes(policy, model, window, tokens)
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable()
    value = HuggingFaceCritic(model) if critic else None  # a copy of the model without adapters
    model = model if lora is None else with_lora(model, lora)
    sampling: dict[str, Any] = {"temperature": config.temperature, "top_k": config.top_k, "top_p": config.top_p}
    network = HuggingFacePolicy(model, **sampling, chunk=config.chunk, vocabulary=tokens, tokenizer=tokenizer)
    network.admit(window)
    return network.train(), value


def _read(name: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """Return the model called `name`, in a precision, and its tokenizer."""
    folder = folder_of(name)
    try:
        return load_model(folder, dtype=dtype) if name.startswith(PRETRAINED) else new_model(folder, dtype=dtype)
    except ValueError as error:
        raise ValueError(f"policy: {str(error).removeprefix('path: ')}") from error


def folder_of(name: str) -> Path:
    """Return the folder of the model called `name`, "hf:PATH" or "hf-config:PATH"; what a .gguf file holds is cached.

    Raises:
        ImportError: transformers is not installed.
        ValueError: the name begins with neither, or there is no such file or folder.
    """
    prefix, colon, path = name.partition(":")
    if prefix + colon not in (PRETRAINED, ARCHITECTURE) or not path:
        raise ValueError(
            f"policy must be hf:PATH, a pretrained model, or hf-config:PATH, its architecture with new weights, got "
            f"{name!r}; leave it out for a network that suits the environment"
        )
    try:
        return model_folder(path, cache=_cache(Path(path).expanduser()))
    except ValueError as error:
        raise ValueError(f"policy: {str(error).removeprefix('path: ')}") from error


def base_folder(name: str) -> Path:
    """Return the folder of the pretrained model called `name`, on which adapters were trained.

    Raises:
        ValueError: its parameters were new, or it is no longer there.
    """
    if not name.startswith(PRETRAINED):
        raise ValueError(f'base: {name} had new parameters, which no folder holds; save with adapters="merged"')
    try:
        folder = folder_of(name)
    except ValueError as error:
        raise ValueError(f"base: {error}; give the folder where it is now") from error
    if not has_weights(folder):
        raise ValueError(f"base: {folder}, from which {name} was loaded, holds no weights; give where they are now")
    return folder


def language_policy(policy: Policy, instead: str) -> HuggingFacePolicy:
    """Return an agent's policy, if it is a language model; else raise UserError, which says what to do instead."""
    if not isinstance(policy, HuggingFacePolicy):
        raise UserError(
            f"policy: this agent's is a {type(policy).__name__}, no language model of transformers (hf:PATH){instead}"
        )
    return policy


def _cache(file: Path) -> Path:
    """Return where the content of a .gguf file is kept: another place for each file of the same name."""
    return CACHE / f"{file.stem}-{crc32(str(file.resolve()).encode()):08x}"


def _check_sizes(name: str, model: Any, window: int, tokens: int) -> None:  # noqa: ANN401
    """Raise where the environment's tokens or texts are more than the model knows."""
    ids = model.get_output_embeddings().out_features
    if tokens > ids:
        raise UnsupportedSpaceError(
            f"its vocabulary of {tokens} ids is larger than the {ids} of {name}; make it with this model's tokenizer "
            "(tokenizer=FOLDER, where it takes one)"
        )
    longest = limit(model.get_decoder().config)
    if longest is not None and window > longest.tokens:
        raise UnsupportedSpaceError(
            f"its window of {window} tokens is longer than {longest.tokens}, the {longest.name} of {name}; give it a "
            "shorter window or fewer max_new_tokens"
        )
