"""Calls of modules without torch's looking for what is not there."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.nn.functional import linear


def call(module: nn.Module, *inputs: Any) -> Any:  # noqa: ANN401
    """Return the module's output, bit for bit; where it has no hooks, without torch's looking for them.

    That takes 0.7 µs, and a linear layer's looking for its parameters 1.1 µs, half of what it takes to multiply.
    """
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
        return module(*inputs)
    parameters = module._parameters
    if type(module) is nn.Linear and len(parameters) == 2:  # not of a subclass, nor with a weight that is computed
        return linear(*inputs, parameters["weight"], parameters["bias"])  # type: ignore[call-arg]
    return module.forward(*inputs)


def plain_call(module: nn.Module, *inputs: Any) -> Any:  # noqa: ANN401
    """Return the module's output."""
    return module(*inputs)


def hold_directly(module: nn.Module, *names: str) -> None:
    """Make the submodules `names` plain attributes of `module` as well; nothing else about it changes.

    torch looks for a submodule only after everything else has failed, 0.4 µs each, which is a tenth of what a small
    policy takes for a step. Assigning another submodule of that name replaces both.
    """
    for name in names:
        module.__dict__[name] = module.get_submodule(name)


def plain_hold_directly(module: nn.Module, *names: str) -> None:
    """Leave the module as it is: torch finds its submodules."""
