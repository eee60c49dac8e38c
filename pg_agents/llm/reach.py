"""The longest text for which a language model attends to all earlier tokens, read from its configuration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

POSITIONS = ("max_position_embeddings", "n_positions", "max_seq_len", "model_max_length", "max_target_positions")
WINDOWS = (  # names of the window of a layer that does not attend to all earlier tokens
    "sliding_window",
    "sliding_window_size",
    "window_size",
    "attention_window_size",
    "attention_chunk_size",
    "keep_window_size",
    "local_attention",
    "local_attention_window_len",
)


class Limit(NamedTuple):
    """A number of tokens, and its name in a configuration."""

    name: str
    tokens: int

    def __str__(self) -> str:
        return f"{self.name}, {self.tokens}"


def limit(config: Any) -> Limit | None:  # noqa: ANN401
    """Return the most tokens for which every layer attends to all earlier tokens in the same way; None: no limit.

    Longer texts have no positions, exceed the window of some layers, or change the angles of rotary embeddings, while
    packing and caches here assume attention to all earlier tokens.

    Args:
        config: the configuration of the model's trunk.
    """
    return min(_limits(config), key=lambda found: found.tokens, default=None)


def check_length(config: Any, length: int) -> None:  # noqa: ANN401
    """Raise ValueError if a text of `length` tokens is longer than `limit`."""
    least = limit(config)
    if least is not None and length > least.tokens:
        raise ValueError(
            f"window must be at most the model's {least}, got one of {length} tokens; give the environment a shorter "
            "window or fewer max_new_tokens"
        )


def _limits(config: Any) -> Iterator[Limit]:  # noqa: ANN401
    kinds = getattr(config, "layer_types", None) or getattr(config, "attention_layers", None)
    bounded = not kinds or any(kind != "full_attention" and kind != "global" for kind in kinds)
    for name in (*POSITIONS, *(WINDOWS if bounded else ())):
        tokens = getattr(config, name, None)
        if isinstance(tokens, int) and not isinstance(tokens, bool) and tokens > 0:
            yield Limit(name, tokens)
    if getattr(config, "attn_temperature_tuning", False):  # Llama 4: attention is scaled by the position
        yield Limit("floor_scale", config.floor_scale)
    rotations = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    for rotation in (rotations, *(inner for inner in rotations.values() if isinstance(inner, dict))):
        tokens = rotation.get("original_max_position_embeddings")
        if tokens and "longrope" in (rotation.get("rope_type"), rotation.get("type")):  # has two sets of angles
            yield Limit("original_max_position_embeddings", int(tokens))
