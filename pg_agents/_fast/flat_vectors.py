"""Many small parameters laid out as one vector, of which they are views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

LARGE = 2**20  # parameters; from there on the arithmetic takes longer than the calls


def lay_out(members: list[nn.Parameter]) -> dict[Tensor, list[nn.Parameter]]:
    """Return the vectors that an optimizer is to see instead of `members`, and which of them lie in each, in order.

    The parameters become views of a vector and their gradients views of another. What is done to all of them is then
    one operation instead of one for each, and those calls are most of what a step costs a small network. More than
    `LARGE` stay as they are. Steps are those of `plain_lay_out` but for the order of the sum in the gradient's norm.

    Args:
        members: parameters of one dtype, device and age (steps taken).
    """
    large = sum(member.numel() for member in members) > LARGE
    return plain_lay_out(members) if large else in_one_vector(members)


def in_one_vector(members: list[nn.Parameter]) -> dict[Tensor, list[nn.Parameter]]:
    """Return one vector of which the parameters have become views."""
    return {_vector_of(members): members}


def plain_lay_out(members: list[nn.Parameter]) -> dict[Tensor, list[nn.Parameter]]:
    """Return the parameters as they are, each the only one in its place."""
    return {member: [member] for member in members}


@torch.no_grad()
def _vector_of(members: list[nn.Parameter]) -> Tensor:
    """Return one vector of all entries; parameters and gradients become views of it and of its gradient."""
    vector = torch.cat([member.reshape(-1) for member in members])
    vector.grad = torch.zeros_like(vector)
    sizes = [member.numel() for member in members]
    for member, part, grad in zip(members, vector.split(sizes), vector.grad.split(sizes), strict=True):
        member.data, member.grad = part.view_as(member), grad.view_as(member)
    return vector


def part_moment(vector: Tensor, value: Any, members: Sequence[Tensor]) -> list[Any]:  # noqa: ANN401
    """Return what an optimizer remembers of a vector as what it remembers of each of its members.

    What is no moment (the count of steps) is everybody's.
    """
    whole = not isinstance(value, Tensor) or value.shape != vector.shape
    sizes = [member.numel() for member in members]
    return [value] * len(sizes) if whole else list(value.reshape(-1).split(sizes))


def join_moments(vector: Tensor, parts: list[Any]) -> Any:  # noqa: ANN401
    """Return what an optimizer is to remember of a vector from what it remembered of its members."""
    if not isinstance(parts[0], Tensor) or parts[0].dim() == 0:
        return parts[0].clone().to(vector.device) if isinstance(parts[0], Tensor) else parts[0]
    return torch.cat([part.reshape(-1) for part in parts]).to(vector).view_as(vector)
