"""The precision of language models' numbers: what is computed from the configuration keeps its own.

transformers computes some buffers, which no file holds, in float32 whatever the precision of the parameters: the
frequencies of rotary embeddings above all, θ_i = base^(−2i/d). `model.to(torch.bfloat16)` rounds them, too, and
θ_i · t is then off by up to t/256: the model has other logits than the one that `from_pretrained(dtype=…)` gives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn


def in_precision(model: nn.Module, dtype: torch.dtype) -> Any:  # noqa: ANN401
    """Return a model with its parameters and saved buffers in a precision, in place; computed buffers keep theirs."""
    with computed_kept(model):
        return model.to(dtype)


@contextmanager
def computed_kept(model: nn.Module) -> Iterator[None]:
    """A context in which a model may be moved or cast, after which its computed buffers have the precision of before.

    Their numbers are those of before, on the device on which the model then is.
    """
    before = [(module, name, buffer) for module, name, buffer in computed(model)]
    yield
    for module, name, buffer in before:
        now = getattr(module, name)
        if now.dtype != buffer.dtype:
            setattr(module, name, buffer.to(now.device))


def compute_again(model: nn.Module) -> None:
    """Give a model whose frequencies were rounded those that its configuration has, in float32.

    Modules that cannot be made from their configuration alone keep what they have.
    """
    for module in model.modules():
        rounded = [name for owner, name, buffer in computed(module, deep=False) if buffer.dtype.itemsize < 4]
        config = getattr(module, "config", None)
        if not rounded or config is None or next(module.parameters(), None) is not None:
            continue
        again: Callable[..., Any] = type(module)
        with suppress(Exception):  # of any kind: a class may want anything
            fresh = again(config)
            for name in rounded:
                now, exact = getattr(module, name), getattr(fresh, name)
                if exact.shape == now.shape and torch.equal(exact.to(now), now):
                    setattr(module, name, exact.to(now.device))


def computed(model: nn.Module, *, deep: bool = True) -> Iterator[tuple[nn.Module, str, Tensor]]:
    """Yield (module, name, buffer) of the buffers of floating-point numbers that no file holds."""
    for module in model.modules() if deep else [model]:
        for name, buffer in module._buffers.items():
            if buffer is not None and name in module._non_persistent_buffers_set and buffer.is_floating_point():
                yield module, name, buffer
