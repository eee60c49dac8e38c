"""Submodules within reach, and calls that cost little."""

from __future__ import annotations

from typing import Any

from torch import nn


def hold_directly(module: nn.Module, *names: str) -> None:
    """Make the submodules `names` plain attributes of `module` as well.

    torch looks for a submodule only after everything else has failed, 0.4 µs each, which is a tenth of what a small
    policy takes for a step. Whoever assigns another submodule of that name replaces both.
    """
    for name in names:
        module.__dict__[name] = module.get_submodule(name)


def call(module: nn.Module, *inputs: Any) -> Any:  # noqa: ANN401
    """Return the module's output; where it has no hooks, without torch's looking for them, 0.7 µs."""
    hooked = module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks
    return module(*inputs) if hooked else module.forward(*inputs)
