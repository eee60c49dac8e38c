"""Parameters as one vector."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn


def learned(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that are not frozen.

    Raises:
        ValueError: all parameters are frozen.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError("policy: every parameter is frozen (requires_grad is False), so that there is no step to take")
    return parameters


def flatten(tensors: Iterable[Tensor]) -> Tensor:
    """Return the entries of all tensors as one vector, [P]."""
    return torch.cat([tensor.reshape(-1) for tensor in tensors])


@torch.no_grad()
def assign(parameters: Sequence[Tensor], vector: Tensor) -> None:
    """Set the parameters, in place, to the parts of a vector [P]; the inverse of `flatten`."""
    parts = vector.split([parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        parameter.copy_(part.view_as(parameter))
